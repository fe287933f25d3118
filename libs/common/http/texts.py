"""Kinds of text that several services show, each with its example."""

from typing import Annotated

from pydantic import Field

EmailText = Annotated[str, Field(examples=["ada@example.org"])]
PersonName = Annotated[str, Field(examples=["Ada Lovelace"])]
FilmTitleText = Annotated[str, Field(examples=["Le Voyage dans la Lune"])]
TaskTitleText = Annotated[str, Field(examples=["Write the quarrel at the Astronomic Club"])]
Sha256Text = Annotated[str, Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])]
MediaTypeText = Annotated[str, Field(examples=["video/mp4"])]
Sentence = Annotated[str, Field(examples=["The file is longer than it was announced to be."])]
