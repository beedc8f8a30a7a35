import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.rewards import repetition_shares
from agent0.rewards.repetition import cluster_labels, condensed_distances
from tests.support.reported_cases import reported_cases


def reference_distances(questions):
    """1 - sentence_bleu for all pairs, the earlier question as hypothesis, as the official code computes it.

    Save that a question and itself are duplicates, where NLTK misses the n-grams that a short one has not.
    """
    bleu_score = pytest.importorskip("nltk.translate.bleu_score", reason="the reference needs nltk")
    smoothing = bleu_score.SmoothingFunction().method1
    size = len(questions)
    distances = np.zeros((size, size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(size):
            for j in range(i + 1, size):
                words = questions[i].split(), questions[j].split()
                score = bleu_score.sentence_bleu([words[1]], words[0], smoothing_function=smoothing)
                distances[i, j] = distances[j, i] = 0 if words[0] == words[1] != [] else 1 - score
    return distances


def reference_labels(distances, threshold):
    cluster = pytest.importorskip("sklearn.cluster", reason="the reference needs scikit-learn")
    clustering = cluster.AgglomerativeClustering(
        n_clusters=None, distance_threshold=threshold, metric="precomputed", linkage="average"
    )
    return clustering.fit_predict(distances)


def partition(labels):
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def related_questions(count, seed, words=25):
    rng = random.Random(seed)
    vocabulary = [f"w{int(rng.paretovariate(0.8))}" for _ in range(400)]
    questions = []
    for _ in range(count):
        if questions and rng.random() < 0.5:
            question = rng.choice(questions).split()
            for _ in range(rng.choice([0, 1, 3, 8])):
                question[rng.randrange(len(question))] = rng.choice(vocabulary)
        else:
            question = [rng.choice(vocabulary) for _ in range(rng.randint(words - 8, words))]
        questions.append(" ".join(question))
    return questions


SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "if x", "how many", ""]), max_size=9).map(" ".join)


@settings(max_examples=60)
@given(st.lists(SENTENCES, min_size=2, max_size=7))
def test_distances_equal_nltks(questions):
    expected = reference_distances(questions)[np.triu_indices(len(questions), 1)]
    assert condensed_distances(questions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_and_clusters_equal_the_reference(seed, threshold):
    questions = [*related_questions(70, seed), "", " ", "one", "one two three", "one two three"]
    labels = reference_labels(reference_distances(questions), threshold)
    assert partition(cluster_labels(questions, threshold)) == partition(labels)
    expected = np.bincount(labels)[labels] / len(questions)
    assert repetition_shares(questions, threshold) == pytest.approx(expected, abs=1e-12)
    assert len(set(expected.tolist())) > 1


@given(st.text(min_size=1, max_size=12).filter(str.strip), st.integers(2, 5), st.sampled_from([0.01, 0.5]))
def test_equal_questions_are_duplicates_however_short_and_whatever_their_script(question, count, threshold):
    others = ["w0 w1 w2 w3 w4"]
    shares = repetition_shares([question] * count + others, threshold)
    assert shares[:count] == pytest.approx(count / (count + 1))


def test_what_people_reported_of_repetition_is_measured_as_they_meant_it():
    for case in reported_cases("repetition"):
        assert repetition_shares(case["input"]["questions"]).tolist() == case["expected"], case["id"]


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(0, 10**6), st.sampled_from([0.25, 0.5, 0.75]))
def test_the_cut_is_scikit_learns_even_when_heights_equal_the_threshold(size, seed, threshold):
    from scipy.cluster.hierarchy import linkage

    from agent0.rewards.repetition import _cut

    distances = np.random.default_rng(seed).integers(0, 5, (size, size)) / 4.0
    distances = np.triu(distances, 1) + np.triu(distances, 1).T
    merges = linkage(distances[np.triu_indices(size, 1)], method="average")
    assert partition(_cut(merges, threshold, size)) == partition(reference_labels(distances, threshold))


@given(st.lists(SENTENCES, max_size=8))
def test_shares_are_cluster_sizes_over_the_batch(questions):
    shares = repetition_shares(questions)
    assert shares.shape == (len(questions),)
    assert np.all(shares * len(questions) >= 1 - 1e-9)
    assert np.all(shares <= 1)
    assert np.sum(1 / (shares * len(questions))) == pytest.approx(len(set(cluster_labels(questions).tolist())))


def test_equal_questions_share_a_cluster_and_blank_ones_do_not():
    assert repetition_shares(["a b c d e"] * 3 + ["", ""]).tolist() == pytest.approx([0.6] * 3 + [0.2] * 2)


def test_labels_are_numbered_in_order_of_first_appearance():
    assert cluster_labels(["x y z u", "a b c d", "x y z u", "k l m n"]).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("questions", [[], ["one"], [""]])
def test_fewer_than_two_questions_need_no_clustering(questions):
    assert repetition_shares(questions).tolist() == [1.0] * len(questions)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_that_is_not_positive_is_a_usage_error(threshold):
    with pytest.raises(UsageError, match="threshold"):
        repetition_shares(["a", "b"], threshold)


def test_importing_the_room_loads_neither_scipy_nor_scikit_learn():
    code = "import sys, agent0.rewards; assert not {'scipy', 'sklearn', 'torch', 'nltk'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
