"""What is said of the zoo follows from its numbers, and README says it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tbn import analysis_charts, findings
from tbn.zoo import results


@pytest.fixture(scope="module")
def rows():
    return results.entries()


@pytest.fixture(scope="module")
def found(rows):
    return {finding.key: finding for finding in findings.findings(rows)}


def test_every_question_is_answered(found):
    assert {"equal_bytes", "fronts", "scaling"} <= set(found)
    for finding in found.values():
        assert finding.question.endswith("?") and finding.answer.endswith(".") and "nan" not in finding.answer


def test_the_counts_are_those_of_the_pairs(rows, found):
    pairs = results.rivals(rows)
    tiled, narrow = ((pairs["verdict"] == verdict).sum() for verdict in ("tiled", "narrow"))
    assert f"Of {len(pairs)} pairs" in found["equal_bytes"].answer
    assert f"spread in {tiled}, the narrow one in {narrow}" in found["equal_bytes"].answer


@pytest.mark.parametrize(("change", "word"), [(0.2, "Yes"), (-0.2, "No, mostly not")])
def test_the_answer_turns_with_the_numbers(rows, change, word):
    percent = rows[~rows["metric"].isin(["mse"])]
    better = percent.assign(score=percent["score"] + change * (percent["version"].str.fullmatch(r"p\d+")))
    assert findings.findings(better)[0].answer.startswith(word)


def test_a_zoo_without_rivals_answers_what_it_can(rows):
    left = rows[(rows["rival_of"] == 0) & ~rows["version"].str.contains("-")]
    assert [finding.key for finding in findings.findings(left)] == ["scaling"]
    assert findings.findings(left[:0]) == ()


def test_alphas_are_compared_with_the_default(rows):
    """On made-up variants: those of one alpha are far worse, those of the latent weights as good."""
    default = rows[(rows["family"] == "fashion_mnist (full), mlp") & (rows["version"] == "p4")]
    worse = {"p4": 0, "p4-one_alpha": 0.2, "p4-latent": 0, "p4-latent-one_alpha": 0.2}
    made = [default.assign(version=version, score=default["score"] - less) for version, less in worse.items()]
    others = rows[rows["family"] != default["family"].iloc[0]]
    answer = next(one for one in findings.findings(pd.concat([*made, others])) if one.key == "alphas").answer
    beyond = [findings.ALPHAS[version] for version, less in worse.items() if less]
    assert answer.endswith(f"Beyond the spread from the default: {', '.join(beyond)}.")


def test_readme_says_it(found):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert set(filter(None, findings.markdown(tuple(found.values())).splitlines())) <= set(readme.splitlines())


def test_the_median_is_that_of_the_chart(rows, found):
    kept = analysis_charts.kept_gain(results.versions(rows))
    four = kept[kept["p"] == 4]["kept"].median()
    assert f"p = 4 {100 * four:.0f} %" in found["scaling"].answer


def test_the_command_prints_markdown_and_draws(rows, tmp_path):
    chromium = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    options = ["--pictures", str(tmp_path)] if chromium else []
    printed = subprocess.run(
        [sys.executable, "-m", "tbn.findings", *options], capture_output=True, text=True, check=True
    ).stdout
    assert printed.startswith("- **Is a wide tiled network better")
    last = printed.splitlines()[-1]
    assert last == findings.made(rows) and f"{len(rows)} runs" in last and "3 or 4 seeds" in last
    assert all(one in last for one in {*rows["machine"], min(rows["date"])[:10], max(rows["date"])[:10]})
    if chromium:
        drawn = {file.stem: file.read_text() for file in tmp_path.glob("*.svg")}
        assert {"equal_bytes", "fronts", "scaling"} <= set(drawn)
        assert all(text.startswith("<svg") and len(re.findall("<path", text)) > 5 for text in drawn.values())


def test_lambda_is_told_with_its_bytes(rows):
    default = rows[(rows["family"] == "fashion_mnist, mlp_mixer") & rows["version"].isin(["p4", "binary"])]
    few = default[default["version"] == "p4"].assign(version="p4-lambda2000", weight_bytes=3_456)
    fewest = few.assign(version="p4-lambda4000", score=few["score"] + 0.2, weight_bytes=4_567)
    rest = rows[(rows["family"] != "fashion_mnist, mlp_mixer") & ~rows["version"].str.contains("-")]
    answer = findings.findings(pd.concat([rest, default, few, fewest]))[-1].answer
    assert "in 3,456 bytes; " in answer and "(only layers that mix channels)" in answer.split("Beyond the spread")[1]
