"""What `init` did, and what only a person can do now."""

from collections.abc import Mapping, Sequence
from typing import Literal

from reconciler.printable import printable

_NEXT = """Next:
  1. Write your devices into inventory/, and look: reconciler validate
  2. Bring everything in by a {change}, which shows its plan; what nobody reviewed is not applied. Where there
     is no main yet, push an empty commit first: git commit --allow-empty -m Begin && git push origin HEAD:main
  3. Merge it. The first apply makes the branch reconciler-state.
"""
_GITHUB = """Three settings that an administrator of the repository must click, before the first push:
  1. Settings > Environments > New environment: production
     Required reviewers: who may let changes reach devices. Deployment branches: main, and no other.
  2. In that environment, add the secret RECONCILER_TOKEN (the token of the device API), and the variable
     RECONCILER_BASE_URL (its address) unless reconciler.toml says base_url.
  3. Settings > Rules > Rulesets, for the branch main: require a pull request with an approval (dismissed
     by new pushes, and not by who pushed last), and the check "plan"; code owners for .github/ and reconciler.toml.
     No ruleset may cover the branch reconciler-state, which GitHub Actions pushes to.
"""
_GITLAB = """Three settings that a maintainer of the project must click, before the first push:
  1. Settings > CI/CD > Variables: RECONCILER_TOKEN (the token of the device API; masked, protected, for the environment
     production), RECONCILER_BASE_URL unless reconciler.toml says base_url, and GITLAB_TOKEN (a project access token
     with the scope api, by which comments are written; masked).
  2. Settings > CI/CD > Job token permissions: allow Git push requests to the repository, for the branch of the state.
  3. Settings > Repository > Protected branches: main. Settings > Merge requests: pipelines must succeed.
     Where there are protected environments: production, with approvals.
"""


def scaffolded(written: Sequence[str], kept: Mapping[str, str], forge: Literal["github", "gitlab"]) -> str:
    """The files, written or not, and the next steps."""
    lines = [f"+ {name}" for name in written]
    lines += [f"  {name}: left alone, {printable(why)}" for name, why in kept.items()]
    change, settings = ("pull request", _GITHUB) if forge == "github" else ("merge request", _GITLAB)
    return "\n".join([*lines, "", settings, _NEXT.format(change=change)]).rstrip()
