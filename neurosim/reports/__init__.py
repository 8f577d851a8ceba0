"""Reports: what a run found, as tables and figures, drawn from the plain tables that it left in its folder."""

from neurosim.reports.figures import FIGURES, draw_figures
from neurosim.reports.report import report_run, write_report
from neurosim.reports.tables import comparison_table, von_neumann_table
from neurosim.reports.terminal import print_table, table_text

__all__ = [
    "FIGURES",
    "comparison_table",
    "draw_figures",
    "print_table",
    "report_run",
    "table_text",
    "von_neumann_table",
    "write_report",
]
