"""``python -m flower_dgan.sweep``."""

from flower_dgan.sweep.multirun import main

main()
