"""Messages as they leave us."""

import pytest

from app.integrations.sending import letter
from app.integrations.templates import Rendered
from app.kernel.ids import new_id
from tests.installation import Installation


@pytest.mark.case("A04")
def test_mail_that_is_sent_again_has_the_same_id(installation: Installation) -> None:
    message_id, text = new_id(), Rendered("Delivered", "Here it is.")
    first, again = (letter(message_id, "lin@example.com", text)["Message-ID"] for _ in range(2))
    assert first == again
    assert first != letter(new_id(), "lin@example.com", text)["Message-ID"]
