"""`reconciler schemas`."""

import json

import click

from reconciler.cli import Globals, pass_globals


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a schema is missing or not up to date.")
@pass_globals
def schemas(given: Globals, *, check: bool) -> int:
    """Write the schemas by which editors check and complete inventory files, beside the schema of devices.

    They are made from that schema, with the same fields: inventory.schema.json for files with devices,
    defaults.schema.json for _defaults.yaml, group.schema.json for groups. Without a schema of your own, the built-in
    one is written, too: schemas/device.schema.json is yours to edit from then on.
    """
    from reconciler.cli.output import write_text
    from reconciler.desired import editor_schemas

    settings = given.settings()
    behind = []
    for file, schema in editor_schemas(settings).items():
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        if file.is_file() and file.read_bytes() == text.encode():
            continue
        behind.append(file)
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, text)
    for file in behind:
        click.echo(f"{file.name} {'is not up to date; run: reconciler schemas' if check else 'written'}")
    if not behind:
        given.say("The schemas for editors are up to date.")
    return 1 if check and behind else 0
