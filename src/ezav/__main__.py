"""`python -m ezav`."""

import sys

from ezav.cli.start import main

sys.exit(main())
