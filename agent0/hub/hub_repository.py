"""Pushing files and a card to a repository of a hub, in one commit.

The hub is the one of `HF_ENDPOINT`, and its token that of `HF_TOKEN` or of `hf auth login`, as its client has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent0 import __version__
from agent0.errors import Agent0Error, UsageError, reason_of
from agent0.extras import require

CARD_FILE = "README.md"
Kind = Literal["model", "dataset"]


class HubError(Agent0Error):
    """The hub does not answer, or does not take what it is sent."""


@dataclass(frozen=True)
class Pushed:
    """What became of a push: the repository's address, and the commit."""

    url: str
    commit: str


def push(repository: str, kind: Kind, files: Mapping[str, Path | str], message: str, *, private: bool) -> Pushed:
    """Commit files to a repository, which is made if there is none; files that it has beside them stay.

    Args:
        repository: OWNER/NAME, or NAME of one's own.
        kind: what it holds.
        files: by their names there; a text is a file's content.
        message: of the commit.
        private: whether a new repository is seen by its owner alone; one that is there stays as it is.

    Raises:
        UsageError: that is no name of a repository.
        HubError: the hub does not answer, or the token is missing or may not write there.
    """
    require("huggingface_hub")
    from huggingface_hub import CommitOperationAdd, HfApi

    hub = HfApi(library_name="agent0", library_version=__version__)
    operations = [
        CommitOperationAdd(name, content.encode() if isinstance(content, str) else str(content))
        for name, content in sorted(files.items())
    ]
    with explained(hub.endpoint, repository):
        place = hub.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        done = hub.create_commit(place.repo_id, operations, commit_message=message, repo_type=kind)
    return Pushed(str(place), done.oid)


@contextmanager
def explained(endpoint: str, repository: str) -> Iterator[None]:
    """Turn the errors of the hub's client in the block into sentences.

    Raises:
        UsageError: the repository's name is none.
        HubError: the hub does not answer or refuses.
    """
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HFValidationError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"{repository!r} names no repository of a hub ({reason}); write OWNER/NAME.") from error
    except OfflineModeIsEnabled as error:
        raise UsageError("HF_HUB_OFFLINE is set, so no hub is asked; unset it to push.") from error
    except (HfHubHTTPError, LocalTokenNotFoundError) as error:
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 401
        if status in (401, 403):
            raise HubError(
                f"The hub at {endpoint} does not let you write to {repository} ({status}); set HF_TOKEN to a token "
                "that may, or name a repository of your own."
            ) from error
        reason = reason_of(error)
        raise HubError(
            f"The hub at {endpoint} did not take {repository} ({reason:.200}); its files are as they were."
        ) from error
    except (httpx.HTTPError, OSError, RuntimeError, ValueError) as error:  # of the connection, or of an answer
        reason = reason_of(error)
        raise HubError(
            f"The hub at {endpoint} cannot be reached for {repository} ({reason:.200}); see HF_ENDPOINT and the "
            "network, and push again: what has arrived is not sent twice."
        ) from error
