from pathlib import Path

from git_places import git

from reconciler.inventory.commit import since


def test_of_a_long_way_back_the_last_commits_are_told_and_where_it_began(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    made = []
    for number in range(5):
        git(tmp_path, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", str(number))
        made.append(git(tmp_path, "rev-parse", "HEAD"))

    assert since(tmp_path, made[4], made[0], 2) == (made[4], made[3], made[0])
    assert since(tmp_path, made[4], made[0], 50) == tuple(reversed(made))
    assert since(tmp_path, made[4], made[4], 2) == (made[4],)
