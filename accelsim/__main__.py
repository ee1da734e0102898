"""``python -m accelsim``."""

from accelsim.cli.app import main

if __name__ == "__main__":
    main()
