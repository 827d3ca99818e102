"""`RESULT.md`: what came of the mutants that `mutate.py` made, and why those live that do.

``python tests/mutation/report.py`` writes it of `results.json` and `survivors.json`.
"""

import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = """# Mutants of the code that judges others

By `python tests/mutation/mutate.py`, which writes this page. A mutant is *killed* if the tests fail
that `targets.json` has for its module; one that goes on for ever is *out of time*, and as good as
killed. *Equivalent* are those of which no test can tell, each below with the reason; what
*survived* is open. Only operators whose mutants are no mere crash were taken, see `targets.json`.

| module | commit | date | mutants | tried | killed | out of time | equivalent | survived |
|---|---|---|---:|---:|---:|---:|---:|---:|
"""
ROW = "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} |\n"
OPEN = "**not explained**"


def load(name):
    """What is in a file of this folder."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return json.load(file)


def reason(reasons, module, mutant):
    """Why a mutant lives, or that nobody has said."""
    return reasons.get(module, {}).get(mutant["after"], OPEN)


def is_open(why):
    """Whether a mutant lives that a test may kill some day."""
    return why == OPEN or why.startswith("open: ")


def page(table, results, reasons):
    """The text of it, by the table of targets."""
    text, lists = HEAD, ""
    modules = [target["module"] for target in table["targets"]]
    for module in modules:
        if module not in results:
            continue
        found = results[module]
        whys = [reason(reasons, module, mutant) for mutant in found["survivors"]]
        text += ROW.format(
            module,
            found["commit"],
            found["date"],
            found["mutants"],
            found["killed"] + found["timeout"] + len(whys),
            found["killed"],
            found["timeout"],
            len(whys) - sum(map(is_open, whys)),
            sum(map(is_open, whys)),
        )
        if whys:
            lists += "\n## {}\n\n".format(module)
        for mutant, why in zip(found["survivors"], whys):
            lists += "- line {line}: `{after}` for `{before}`: {why}\n".format(why=why, **mutant)
    missing = [module for module in modules if module not in results]
    if missing:
        text += "\nNot reached: `{}`.\n".format("`, `".join(missing))
    return text + lists


def write():
    """Write the page; return how many survivors nobody has explained."""
    text = page(load("targets.json"), load("results.json"), load("survivors.json"))
    with open(os.path.join(HERE, "RESULT.md"), "w", encoding="utf-8") as file:
        file.write(text)
    return text.count(OPEN)


if __name__ == "__main__":
    print("{} survivors are not explained".format(write()))
