#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""agree.py KBROKER MANDIR: help, manual pages and completion tell the same.

The command table comes from "kbroker help --json". Each object has a page,
each command a section with exactly its options, and completion offers each
object, command and option. Prints TAP.
"""
import json
import os
import re
import subprocess
import sys

KBROKER, MANDIR = sys.argv[1:3]
# these have no page of their own
IN_MAIN_PAGE = {"completion", "version", "help"}
OPTION = re.compile(r"^--([a-z-]+)(?:, -(\w))?(?: (\S.*))?$")
results = []


def check(name, good, *said):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}")
    for line in said if not good else ():
        print(f"# {line}")


def run(*args):
    return subprocess.run([KBROKER, *args], capture_output=True, text=True, check=False).stdout


def page(name):
    path = os.path.join(MANDIR, name + ".8.rst")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as text:
        return text.read().splitlines()


def sections(lines):
    """Title -> lines below it, by underlined titles."""
    found, title = {}, None
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if line and re.fullmatch(r"=+", below) and len(below) >= len(line):
            title = line
            found[title] = []
        elif title is not None:
            found[title].append(line)
    return found


def options(lines):
    found = {}
    for line in lines:
        match = OPTION.match(line)
        if match:
            found[match.group(1)] = (match.group(2), match.group(3))
    return found


def compare(name, table, lines):
    said, documented = [], options(lines)
    for opt in table:
        have = documented.pop(opt["name"], None)
        if have is None:
            said.append(f"--{opt['name']} is not in the page")
        elif have[0] != opt.get("letter"):
            said.append(f"--{opt['name']}: letter {opt.get('letter')} in the table, {have[0]} in the page")
        elif bool(have[1]) != ("argument" in opt):
            said.append(f"--{opt['name']}: takes {opt.get('argument')} in the table, {have[1]} in the page")
    said += [f"--{left} is in the page only" for left in documented]
    check(f"page of '{name}'", not said, *said)


def check_command(obj, cmd, titles):
    words = [obj["name"]] + ([cmd["name"]] if cmd["name"] else [])
    name = " ".join(words)
    title = "kbroker " + name + (" " + cmd["arguments"] if cmd["arguments"] else "")
    if obj["name"] not in IN_MAIN_PAGE:
        check(f"section '{title}'", title in titles, "sections: " + ", ".join(titles))
        compare(name, cmd["options"], titles.get(title, []))
    text = run(*words, "--help")
    missing = [o["name"] for o in cmd["options"] if f"--{o['name']}" not in text]
    check(f"help of '{name}'", not missing and cmd["summary"] in text, f"missing: {missing}")
    offered = run("completion", "words", "--", *words, "--").split()
    missing = [o["name"] for o in cmd["options"] if "--" + o["name"] not in offered]
    check(f"completion of '{name}'", not missing, f"missing: {missing}")


def main():
    table = json.loads(run("help", "--json"))
    main_page = page("kbroker")
    check("kbroker.8 exists", main_page is not None)
    main_sections = sections(main_page or [])
    compare("kbroker", table["options"], main_sections.get("OPTIONS OF EVERY COMMAND", []))
    offered = run("completion", "words", "--", "").split()
    pages = {name[len("kbroker-"):-len(".8.rst")] for name in os.listdir(MANDIR)
             if name.startswith("kbroker-")}
    for obj in table["objects"]:
        name = obj["name"]
        check(f"'{name}' is completed", name in offered)
        check(f"'{name}' is in kbroker.8", any(re.search(rf"\b{name}\b", l) for l in main_page or []))
        lines = page("kbroker-" + name)
        if name not in IN_MAIN_PAGE:
            check(f"kbroker-{name}.8 exists", lines is not None)
            pages.discard(name)
        titles = sections(lines or [])
        for cmd in obj["commands"]:
            check_command(obj, cmd, titles)
    check("no page is left over", not pages, f"pages of no object: {sorted(pages)}")
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
