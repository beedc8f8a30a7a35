"""Two tools: exact sums, which run in the sandbox, and a search through a folder of notes, in a process of its own."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE

from agent0.tools import Tool, ToolOutput


async def calculate(text, sandbox):
    exact = re.sub(r"\d+(\.\d+)?", r"Fraction('\g<0>')", text)  # whatever else it holds, it runs in the sandbox
    return ToolOutput.of(await sandbox.arun(f"from fractions import Fraction\nprint({exact})"))


async def search(text, sandbox):
    folder = os.environ["MY_NOTES"]
    grep = await asyncio.create_subprocess_exec("grep", "-rhiFI", "-m", "3", "-e", text, folder, stdout=PIPE)
    found, _ = await grep.communicate()
    return ToolOutput(found.decode()) if found else ToolOutput("Nothing is noted of that.", "not_found")


CALCULATOR = Tool(
    label="calc",
    rules="For exact arithmetic write a block that starts with ```calc and holds one expression, such as 1/3+1/6.",
    run=calculate,
)
NOTES = Tool(
    label="notes",
    rules="To look something up, write a block that starts with ```notes and holds the words to look for.",
    run=search,
)
