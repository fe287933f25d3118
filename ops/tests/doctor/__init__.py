"""Every box of the checklist, ticked by what is well and unticked by the fault it is there for."""
