"""The sandbox payment gateway. Its protocol is README.md beside this file; its book is the judge of what really happened."""
