"""docs/cli.md has every command and every option, as they are."""

from scripts import cli_docs


def test_the_page_is_up_to_date() -> None:
    assert cli_docs.page() == cli_docs.PAGE.read_text(), "run python scripts/cli_docs.py"
