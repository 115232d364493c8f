"""What mapae promises about speed, measured. `python -m bench` prints a table and rewrites docs/performance.md.

Every figure is a ratio: the least work that any implementation on this machine must do, divided by what ours takes,
both measured in turn in the same run. 1.0 is the limit. Absolute times are printed for orientation only.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The load's officers use the same browser without a screen as the tests.
if str(ROOT / "tests") not in sys.path:
    sys.path.append(str(ROOT / "tests"))
