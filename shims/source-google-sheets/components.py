"""What the manifest cannot say: a sheet's first row names the columns of all rows below it."""

from dataclasses import dataclass
from typing import Any, Iterable, Mapping

import requests
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor


@dataclass
class Rows(RecordExtractor):
    """A record for each row that is not empty. Columns without a name go by their number."""

    def extract_records(self, response: requests.Response) -> Iterable[Mapping[str, Any]]:
        """The records of the answer to `spreadsheets.values.get`."""
        rows = response.json().get("values") or []
        if not rows:
            return
        header = [str(name).strip() for name in rows[0]]
        for number, cells in enumerate(rows[1:], start=2):
            if not any(cell not in ("", None) for cell in cells):
                continue
            values: dict[str, Any] = {}
            for column, cell in enumerate(cells):
                name = header[column] if column < len(header) and header[column] else f"column_{column + 1}"
                # Of two columns with one name, the second goes by its number too.
                values[name if name not in values else f"{name}_{column + 1}"] = cell
            yield {"row": number, "values": values}
