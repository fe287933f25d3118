"""Kinds of text in requests and answers, each with its example."""

from typing import Annotated

from pydantic import Field

Slug = Annotated[str, Field(examples=["le-voyage-dans-la-lune"])]
SynopsisText = Annotated[str, Field(examples=["Six astronomers fly to the Moon in a shell, and come back."])]
ReferenceText = Annotated[str, Field(examples=["S02"])]
DescriptionText = Annotated[str, Field(examples=["Barbenfouillis presents his plan, one member objects, papers fly."])]
LeaseTokenText = Annotated[str, Field(examples=["kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE"])]
NotesText = Annotated[str, Field(examples=["The cut falls on the third beat."])]
FeedbackText = Annotated[str, Field(examples=["Good rhythm; keep the papers longer in the air."])]
