"""The boxes: a module a subject, a function a box (`ops.doctor.box.box`). A module that is here is found."""
