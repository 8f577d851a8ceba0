"""Reports: what a run found, as tables and figures, drawn from the plain tables that it left in its folder."""
