"""`python -m cli`: the command `predictq`, for where its script is not on the PATH."""

import sys

from cli.main import main

sys.exit(main())
