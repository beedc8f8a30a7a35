"""Run parameters: coerced and checked before anything is sent."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from agent0.config import RolloutSettings, load_config, parse_section
from agent0.errors import Agent0Error, UsageError
from agent0.kubeflow.compiled_pipeline import Package, read_package
from agent0.kubeflow.parameters import check_models, resolve_parameters
from agent0_kfp.pipelines.evolution import compile_evolution
from tests.kubeflow.checking import check_parameters
from tests.pipelines.goldens import PLAIN
from tests.support.reported_cases import reported_cases


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A pipeline with a parameter of each type; `secret` has no default."""

    @dsl.component(base_image="registry.example/python:3", install_kfp_package=False)
    def print_all(text: str, secret: str, count: int, share: float, flag: bool, names: list, free: dict) -> None:
        print(text, secret, count, share, flag, names, free)

    @dsl.pipeline(name="all-types")
    def all_types(
        secret: str,
        text: str = "",
        count: int = 1,
        share: float = 0.5,
        flag: bool = False,
        names: list = ["a"],  # noqa: B006  # kfp needs the value itself
        free: dict = {},  # noqa: B006
        nested: dict = {"steps": 2, "rate": 0.1, "on": True, "deep": {"word": "x", "items": ["a"]}},  # noqa: B006
    ) -> None:
        print_all(text=text, secret=secret, count=count, share=share, flag=flag, names=names, free=free)
        print_all(text=text, secret=secret, count=count, share=share, flag=flag, names=names, free=nested)

    path = tmp_path_factory.mktemp("types") / "all.yaml"
    compiler.Compiler().compile(all_types, str(path))
    return read_package(str(path))


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("text=3", {"text": "3"}),
        ("text=a=b", {"text": "a=b"}),
        ("text=", {"text": ""}),
        ("count=3", {"count": 3}),
        ("share=2", {"share": 2}),
        ("share=1e-6", {"share": 1e-6}),
        ("flag=True", {"flag": True}),
        ("names=gsm8k,math_500", {"names": ["gsm8k", "math_500"]}),
        ('names=["a", 1]', {"names": ["a", 1]}),
        ("names=", {"names": []}),
        ('free={"key": [1]}', {"free": {"key": [1]}}),
        ("free.gpu=2", {"free": {"gpu": 2}}),
        ("free.key.word=two", {"free": {"key": {"word": "two"}}}),
        (
            "nested.steps=20",
            {"nested": {"steps": 20, "rate": 0.1, "on": True, "deep": {"word": "x", "items": ["a"]}}},
        ),
        (
            "nested.deep.items=b,c",
            {"nested": {"steps": 2, "rate": 0.1, "on": True, "deep": {"word": "x", "items": ["b", "c"]}}},
        ),
        (
            'nested={"deep": {"word": "7"}}',
            {"nested": {"steps": 2, "rate": 0.1, "on": True, "deep": {"word": "7", "items": ["a"]}}},
        ),
    ],
)
def test_text_becomes_the_declared_type(package: Package, assignment: str, expected: dict[str, Any]) -> None:
    values = resolve_parameters(package, ["secret=s", assignment])
    assert values == {"secret": "s", **expected}
    check_parameters(package.spec, values)  # the server's own rule


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("count=three", "count=three: it must be a whole number"),
        ("count=1.5", "count=1.5: it must be a whole number"),
        ("count=true", "count=true: it must be a whole number"),
        ("flag=yes", 'flag="yes": it must be true or false'),
        ("names=[1", "names=[1: it must be a list"),
        ("free=[1]", "free=[1]: it must be a JSON object"),
        ("conut=3", "no parameter 'conut'; did you mean 'count'?"),
        ("nested.stepz=3", "no nested.stepz in the pipeline all-types; did you mean 'steps'?"),
        ("nested.deep.wrod=3", "no nested.deep.wrod in the pipeline all-types; did you mean 'word'?"),
        ('nested={"stepz": 3}', "no nested.stepz; did you mean 'steps'?"),
        ('nested={"steps": "three"}', 'nested.steps="three": it must be a number'),
        ("nested.steps.more=3", "nested.steps is a single value and has no keys"),
        ("nested.on=1", 'nested.on="1": it must be true or false'),
        ("text.a=3", "the parameter text is text and has no keys"),
        ("count", "--param count needs the form name=value"),
    ],
)
def test_what_does_not_fit_is_one_sentence(package: Package, assignment: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve_parameters(package, ["secret=s", assignment])
    assert sentence in str(error.value)


def test_a_missing_value_is_named(package: Package) -> None:
    with pytest.raises(UsageError, match=r"needs a value for secret .*--param NAME=VALUE"):
        resolve_parameters(package, [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", json.dumps({"secret": "s", "count": 4, "nested": {"steps": 5}, "nested.rate": 0.2})),
        ("p.yaml", "secret: s\ncount: 4\nnested: {steps: 5}\nnested.rate: 0.2\n"),
        ("p.toml", 'secret = "s"\ncount = 4\n"nested.rate" = 0.2\n[nested]\nsteps = 5\n'),
    ],
)
def test_a_file_gives_typed_values_and_the_command_line_overrides_them(
    package: Package, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    values = resolve_parameters(package, ["count=6"], str(tmp_path / name))
    assert (values["secret"], values["count"]) == ("s", 6)
    assert (values["nested"]["steps"], values["nested"]["rate"], values["nested"]["on"]) == (5, 0.2, True)


def test_a_text_in_a_file_is_no_number(package: Package, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("secret: s\ncount: '4'\n")
    with pytest.raises(UsageError, match='count="4": it must be a whole number'):
        resolve_parameters(package, [], str(tmp_path / "p.yaml"))


def test_a_section_is_checked_by_the_configuration(compiled: Path) -> None:
    evolution = read_package(str(compiled / "evolution.yaml"))
    with pytest.raises(UsageError, match=r"Parameter executor: .*greater than"):
        resolve_parameters(evolution, ["executor.steps=-1"])
    values = resolve_parameters(evolution, ["executor.steps=20"])
    assert values["executor"] == evolution.inputs["executor"].default | {"steps": 20}


@pytest.mark.parametrize(
    ("pipeline", "assignment", "sentence"),
    [
        ("evolution", "seed=-1", "Parameter seed: .*greater than or equal to 0"),
        ("evolution", "seed=2147483648", "Parameter seed: .*less than 2147483648"),
        ("evolution", "model.tiny.seed=-1", "Parameter model: .*'tiny.seed'"),
        ("evolution", "start_iteration=0", "the first round of an evolution has number 1"),
        ("evolution", "executor.learning_rate=1e999", "executor.learning_rate=inf: it must be a finite number"),
        ("evolution", "rollout.prompts.template_options.x=NaN", "x=nan: it must be a finite number"),
        ("evolution", "generation.proposals=9007199254740993", r"whole number beyond 2\*\*53"),
        ("evolution", "execution.known_tasks=gym:no_such", "no family 'no_such'"),
        ("evolution", "generation.proposals=4", "generation.proposals is 4, fewer than filtering.min_tasks"),
        ("evolution", "filtering.min_tasks=4", "min_tasks is 4 but one training batch needs"),
        ("evolution", "model.source=elsewhere/model", "is for the embedded model"),
        ("evolution", "rollout.prompts.variant=papre", "has no prompts 'papre'"),
        ("ablation", "executor.updates_per_step=7", "cannot be cut into executor.updates_per_step = 7"),
        ("evaluation", "evaluation.benchmarks=gsm8k,gsm9k", "There is no benchmark 'gsm9k'"),
        ("evaluation", "evaluation.benchmarks=domain:elsewhere,gsm9k", "There is no benchmark 'gsm9k'"),
        ("evaluation", "evaluation.benchmarks=gsm8k,gsm8k", "A benchmark is named twice"),
        ("evaluation", "gate.allowed_losses.gsm9k=0.1", "Parameter gate: There is no benchmark 'gsm9k'"),
        ("evaluation", "gate.significance=2", "Parameter gate: .*less than 1"),
        ("evaluation", f"champion={'x' * 10_001}", "champion is 10,001 bytes long"),
        ("ablation", "seeds=1,-2", "Parameter seeds: .*greater than or equal to 0"),
        ("ablation", "variants=full,no-such", "There is no variant no-such"),
        ("ablation", "variants=full,grpo,full", "Name each variant once"),
        ("ablation", "seeds=[0, 1, 1]", "Name each seed once"),
        ("ablation", "seeds=[]", "Name each seed once, in a list of at least one"),
    ],
)
def test_a_parameter_is_checked_as_the_settings_are(
    compiled: Path, pipeline: str, assignment: str, sentence: str
) -> None:
    package = read_package(str(compiled / f"{pipeline}.yaml"))
    with pytest.raises(UsageError, match=sentence):
        resolve_parameters(package, [assignment])


def test_a_benchmark_that_only_the_image_may_have_is_warned_of(
    compiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = read_package(str(compiled / "evaluation.yaml"))
    values = resolve_parameters(evaluation, ["evaluation.benchmarks=gsm8k,domain:elsewhere"])
    assert values["evaluation"]["benchmarks"] == ["gsm8k", "domain:elsewhere"]
    assert "the image may have what it names (There is no domain 'elsewhere'" in capsys.readouterr().err


def test_the_parameters_of_other_pipelines_mean_what_they_like(tmp_path: Path) -> None:
    @dsl.component(base_image="registry.example/python:3", install_kfp_package=False)
    def show(seed: int, variants: list) -> None:
        print(seed, variants)

    @dsl.pipeline(name="theirs")
    def theirs(seed: int = 0, variants: list = ["a"]) -> None:  # noqa: B006
        show(seed=seed, variants=variants)

    compiler.Compiler().compile(theirs, str(tmp_path / "theirs.yaml"))
    values = resolve_parameters(read_package(str(tmp_path / "theirs.yaml")), ["seed=-1", "variants=b"])
    assert values == {"seed": -1, "variants": ["b"]}


def test_what_people_reported_of_parameters_is_refused_before_it_is_sent(compiled: Path) -> None:
    cases = [case for case in reported_cases("kubeflow") if case["kind"] == "parameter"]
    taken = []
    for case in cases:
        package = read_package(str(compiled / f"{case['input']['pipeline']}.yaml"))
        try:
            resolve_parameters(package, [case["input"]["assignment"]])
        except UsageError:
            continue
        taken.append(case["id"])
    assert taken == [case["id"] for case in cases if case["expected"] != "REFUSED"]


def test_the_package_knows_its_iterations_images_and_tasks(compiled: Path) -> None:
    evolution, tagged = read_package(str(compiled / "evolution.yaml")), read_package(str(compiled / "tagged.yaml"))
    assert (evolution.iterations, tagged.iterations) == (2, 0)
    assert evolution.unpinned_images({}) == []
    assert tagged.unpinned_images({}) == ["registry.example/agent0-python:1.0"]
    names = [task.name for task in evolution.containers]
    assert names.count("executor-training") == 2
    assert [task.times for task in tagged.containers if task.name == "benchmark-evaluation"] == [1]  # as the run says


@pytest.mark.parametrize(
    "text", ["a: [", "a: 1", "", "pipelineInfo: {name: x}\n", "pipelineInfo: {neme: x}\nroot: {}\n"]
)
def test_a_file_that_is_no_pipeline_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"x.yaml (is no valid YAML|holds no)"):
        read_package(str(tmp_path / "x.yaml"))


def test_a_model_of_the_registry_is_checked_where_the_registry_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_models({"model": {"source": "models:/agent0-executor@candidate"}, "champion": "s3://x/y"})
    with pytest.raises(UsageError, match="names no version of a registered model"):
        check_models({"model": {"source": "models:/agent0-executor"}})
    with pytest.raises(UsageError, match="names no version of a registered model"):
        check_models({"champion": "models:/x@"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Agent0Error, match=r"http://127\.0\.0\.1:9"):
        check_models({"model": {"source": "models:/agent0-executor@candidate"}})


def test_the_keys_of_a_section_are_in_order(compiled: Path) -> None:
    for item in read_package(str(compiled / "evolution.yaml")).inputs.values():
        if isinstance(item.default, dict):
            assert list(item.default) == sorted(item.default)


PROMPTS = """\
[rollout.prompts]
worked = true
template_options = {enable_thinking = false}

[[rollout.prompts.executor]]
role = "system"
content = 'Kurz. {tool} "ünd" $HOME'

[[rollout.prompts.executor]]
role = "user"
content = "{question}"

"""


def test_prompts_travel_from_a_recipe_and_from_the_command_line_to_the_settings_of_a_run(tmp_path: Path) -> None:
    shipped = (resources.files("agent0") / "recipes" / "tiny.toml").read_text()
    (tmp_path / "own.toml").write_text(shipped.replace("[sandbox]", f"{PROMPTS}[sandbox]"))
    config = load_config(str(tmp_path / "own.toml"), ["iterations=1"])
    assert config.rollout.prompts.executor[0].content == 'Kurz. {tool} "ünd" $HOME'
    compile_evolution(config, tmp_path / "e.yaml", PLAIN)
    package = read_package(str(tmp_path / "e.yaml"))
    assert parse_section(RolloutSettings, package.inputs["rollout"].default) == config.rollout
    other = [{"role": "user", "content": "Nun: {question}"}]
    given = [
        "rollout.domain=word_problems",
        f"rollout.prompts.executor={json.dumps(other)}",
        'rollout.prompts.template_options={"enable_thinking": true}',
        "rollout.prompts.template_options.effort=low",
    ]
    values = resolve_parameters(package, given)
    check_parameters(package.spec, values)
    sent = parse_section(RolloutSettings, json.loads(json.dumps(values["rollout"])))
    assert sent.domain == "word_problems"
    assert [message.model_dump() for message in sent.prompts.executor] == other
    assert sent.prompts.template_options == {"enable_thinking": True, "effort": "low"}
    assert sent.prompts.worked
    with pytest.raises(UsageError, match=r"Parameter rollout: .*no \{question\}"):
        resolve_parameters(package, ['rollout.prompts.executor=[{"role": "user", "content": "Solve it."}]'])
