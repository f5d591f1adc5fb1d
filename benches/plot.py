"""Draws what `cargo bench --bench scaling` printed: python3 benches/plot.py scaling.csv docs/scaling.svg"""

import csv
import html
import math
import sys

# What is drawn for each kind of point: a title, the axis below, and what a point costs.
CHARTS = {
    "records": ("CPU seconds by records", "records of 540 bytes", lambda row: row["cpu_seconds"], "s"),
    "record bytes": (
        "CPU by size of a record", "bytes of a record", lambda row: 1e9 * row["cpu_seconds"] / row["bytes"], "ns/byte"
    ),
    "streams": (
        "CPU by streams, one record of each in turn", "streams",
        lambda row: 1e9 * row["cpu_seconds"] / row["records"], "ns/record",
    ),
    "shards": ("CPU of all shards together", "shards", lambda row: row["cpu_seconds"], "s"),
}
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 440, 260, 70, 40, 20, 50


def points(path):
    charts = {name: [] for name in CHARTS}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            numbers = {name: float(value) for name, value in row.items() if name != "of"}
            charts[row["of"]].append((numbers["x"], CHARTS[row["of"]][2](numbers)))
    return charts


def number(value):
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def text(x, y, content, anchor="middle", size=12, turn=""):
    turned = f' transform="rotate(-90 {x} {y})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turned}>{html.escape(content)}</text>'


def chart(name, series, dx, dy):
    title, below, _, unit = CHARTS[name]
    xs, ys = [x for x, _ in series], [y for _, y in series]
    logarithmic = name == "records"
    top = max(ys) * 1.15
    floor = min(ys) / 2 if logarithmic else 0

    def place(x, y):
        wide = math.log(x / min(xs)) / (math.log(max(xs) / min(xs)) or 1)
        high = math.log(y / floor) / math.log(top / floor) if logarithmic else y / top
        return (
            dx + LEFT + wide * (WIDTH - LEFT - RIGHT),
            dy + HEIGHT - BOTTOM - high * (HEIGHT - TOP - BOTTOM),
        )

    base = dy + HEIGHT - BOTTOM
    parts = [
        text(dx + WIDTH / 2, dy + 20, title, size=14),
        text(dx + WIDTH / 2, dy + HEIGHT - 10, below),
        text(dx + 18, dy + HEIGHT / 2, unit, turn="left"),
        f'<path d="M{dx + LEFT} {dy + TOP} V{base} H{dx + WIDTH - RIGHT}" class="axis"/>',
    ]
    for tick in ys if logarithmic else [top * part / 4 for part in range(5)]:
        _, y = place(xs[0], tick) if tick > 0 else (0, base)
        parts.append(text(dx + LEFT - 6, y + 4, number(tick), anchor="end", size=11))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(x, y) for x, y in series))
    parts.append(f'<polyline points="{line}" class="line"/>')
    for x, y in series:
        at, up = place(x, y)
        parts.append(f'<circle cx="{at:.1f}" cy="{up:.1f}" r="3.5" class="point"/>')
        parts.append(text(at, base + 16, number(x), size=11))
    return "\n".join(parts)


def main(source, target):
    drawn = [(name, series) for name, series in points(source).items() if series]
    rows = (len(drawn) + 1) // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" font-family="sans-serif">',
        "<style>text{fill:#333}.axis{fill:none;stroke:#888}.line{fill:none;stroke:#0b6fa4;stroke-width:2}"
        ".point{fill:#0b6fa4}@media(prefers-color-scheme:dark){text{fill:#ccc}.line{stroke:#5cc0f0}.point{fill:#5cc0f0}}</style>",
    ]
    for place, (name, series) in enumerate(drawn):
        parts.append(chart(name, series, (place % 2) * WIDTH, (place // 2) * HEIGHT))
    with open(target, "w") as file:
        file.write("\n".join([*parts, "</svg>", ""]))


if __name__ == "__main__":
    main(*sys.argv[1:])
