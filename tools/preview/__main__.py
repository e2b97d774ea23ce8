"""`python -m tools.preview`."""

from tools.preview.run import main

raise SystemExit(main())
