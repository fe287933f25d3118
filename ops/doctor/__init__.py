"""`lumiere doctor`: the deployment checklist that examines itself. A box is a function in `ops/doctor/boxes/`."""
