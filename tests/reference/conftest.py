"""Says at the end how close the closest call was."""

from .compare import worst


def pytest_terminal_summary(terminalreporter):
    for dtype, share in sorted(worst.items()):
        terminalreporter.write_line(f"largest difference from PyTorch in {dtype}: {share:.1e}")
