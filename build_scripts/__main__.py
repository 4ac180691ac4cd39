"""The verbs, one line each, and the exit status. Works on any Python 3, to be able to say so."""

import importlib
import os
import shutil
import sys
from types import ModuleType  # noqa: F401 (the comments of types name it)

VERBS = {
    "setup": "build_scripts.commands.setup",
    "samples": "build_scripts.commands.setup",
    "clean": "build_scripts.commands.clean",
    "check": "build_scripts.commands.check",
    "demo": "build_scripts.commands.demo",
    "play": "build_scripts.commands.play",
    "serve": "build_scripts.commands.serve",
    "wait": "build_scripts.commands.serve",
    "stop": "build_scripts.commands.serve",
    "status": "build_scripts.commands.serve",
    "plan": "build_scripts.commands.plan",
    "roofline": "build_scripts.commands.roofline",
    "doctor": "build_scripts.commands.doctor",
    "measure": "build_scripts.commands.measure",
    "report": "build_scripts.commands.report",
    "engines": "build_scripts.commands.engines",
    "certificates": "build_scripts.commands.certificates",
    "helm": "build_scripts.fleet.helm",
    "repository": "build_scripts.model_repository.render",
}
BEFORE_SETUP = (
    "setup",
    "samples",
    "demo",
    "clean",
)  # these run in any interpreter and make the environment
WITHOUT_SETUP = ("measure",)  # for a machine that is lent for minutes; it looks for a torch itself
FIT = [(3, 11), (3, 12), (3, 10)]  # NumPy 1.26 ends with 3.12, the code begins with 3.10


def main():  # type: () -> int
    if len(sys.argv) < 2 or sys.argv[1] not in VERBS:
        sys.stderr.write("usage: python -m build_scripts " + "|".join(VERBS) + " [options]\n")
        return 2
    verb, arguments = sys.argv[1], sys.argv[2:]
    _use_the_right_interpreter(verb)
    from build_scripts.errors import BuildError

    try:
        module = _module(verb)
        if VERBS[verb] in ("build_scripts.commands.serve", "build_scripts.commands.setup"):
            result = module.main(verb, arguments)
        else:
            result = module.main(arguments)
    except BuildError as error:
        sys.stderr.write("{}: {}\n".format(verb, error))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("{}: interrupted\n".format(verb))
        return 130
    return int(result or 0)


def _module(verb):  # type: (str) -> ModuleType
    """What does the work of a verb."""
    try:
        return importlib.import_module(VERBS[verb])
    except ImportError as error:
        if verb not in WITHOUT_SETUP or not error.name or error.name.startswith("build_scripts"):
            raise
        sys.exit(
            "{0}: `{1}` has no `{2}`, wanted to read plans: run `make setup`, or "
            "`{1} -m pip install {2}`".format(verb, sys.executable, error.name)
        )


def _use_the_right_interpreter(verb):  # type: (str) -> None
    """Replace this process by the environment's Python, or before setup by one that is fit."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = os.path.join(root, ".venv")
    python = os.path.join(environment, "bin", "python")
    if verb not in BEFORE_SETUP:
        if os.path.realpath(sys.prefix) == os.path.realpath(environment):
            return
        if not os.path.exists(python):
            if verb in WITHOUT_SETUP:
                return
            sys.exit("{}: there is no environment yet: run `make setup`".format(verb))
        os.execv(python, [python, "-m", "build_scripts", *sys.argv[1:]])
    if sys.version_info[:2] in FIT:
        return
    for major, minor in FIT:
        found = shutil.which("python{}.{}".format(major, minor))
        if found:
            os.execv(found, [found, "-m", "build_scripts", *sys.argv[1:]])
    sys.exit(
        "{}: Python {}.{} was found, wanted 3.10, 3.11 or 3.12 (Triton's Python stub and NumPy "
        "1.26): `sudo apt-get install python3.11 python3.11-venv libpython3.11`, "
        "or make PYTHON=/path/to/python3.11 {}".format(verb, *sys.version_info[:2], verb)
    )


if __name__ == "__main__":
    sys.exit(main())
