"""tap-postgres whose database writes the batch files, as the taps of warehouses have theirs unload them.

The SDK's place for that is `Stream.get_batches`; what it does there by itself is to make each file of the records
that it would have printed, one by one, in Python. Run it with the Python into which tap-postgres was installed.
"""

import uuid
from pathlib import Path

from tap_postgres.client import PostgresStream
from tap_postgres.tap import TapPostgres

# Characters that no JSON text has, so that COPY leaves the text as it is.
RAW = r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"


def unload(stream, batch_config, context=None):
    folder = Path(batch_config.storage.root.removeprefix("file://"))
    path = folder / f"{uuid.uuid4()}.jsonl"
    query = f"COPY (SELECT row_to_json(t) FROM {stream.fully_qualified_name} AS t) TO STDOUT WITH {RAW}"
    with stream.connector._engine.connect() as connection, path.open("wb") as file:
        connection.connection.cursor().copy_expert(query, file)
    yield batch_config.encoding, [path.as_uri()]


PostgresStream.get_batches = unload
TapPostgres.cli()
