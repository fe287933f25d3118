"""The platform's main job as a story that runs: `lumiere demo`."""
