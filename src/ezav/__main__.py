"""`python -m ezav`."""

import sys

from ezav.cli.main import main

sys.exit(main())
