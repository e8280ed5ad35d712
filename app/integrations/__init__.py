"""Messages to people: mail and text messages, written in the action's transaction and sent by a task."""
