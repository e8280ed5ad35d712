"""Writes the list of passwords nobody may have: `python -m operations.common_passwords`.

Made from patterns (what people type first, what they hang on to it, rows of the keyboard), not taken from anybody's leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from operations.places import ROOT

FILE = ROOT / "app" / "access" / "common_passwords.txt"
LEAST = 8
_WORDS_TEXT = """
    password passwort passw0rd p@ssword p@ssw0rd pass secret admin administrator root user guest test demo welcome letmein
    login master manager office company shop store system server database default changeme qwerty qwertz azerty asdf zxcv
    iloveyou loveyou sunshine princess dragon monkey tiger football baseball superman batman starwars hello freedom whatever
    trustno1 woaini woaiwojia wojiushiwo nihao zhongguo beijing shanghai shenzhen guangzhou xiaoming laopo laogong mima
    wodemima qq weixin taobao alipay zhifubao kami quanyi dianpu laoban facai gongxifacai jixiang wangwang baobao baobei
"""
WORDS = _WORDS_TEXT.split()
_TAILS_TEXT = """
    1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890 0 00 000 111 1111 321 666 888 6666 8888 520 521 1314
    5201314 168 2020 2021 2022 2023 2024 2025 2026 2027 2028 ! !! !!! @123 @1234 @2025 @2026 #1 #123 a abc abc123 aa
"""
TAILS = _TAILS_TEXT.split()
ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "0987654321", "poiuytrewq", "lkjhgfdsa", "mnbvcxz")
_WALKS_TEXT = """
    1qaz2wsx3edc4rfv 1qaz2wsx3edc 1qaz2wsx qazwsxedcrfv qazwsxedc zaq12wsx 1q2w3e4r5t6y 1q2w3e4r5t 1q2w3e4r q1w2e3r4
    qweasdzxc qwer1234 1234qwer asdf1234 qweqwe123 qwerty123456 123qweasdzxc 123qwe!@#
"""
WALKS = _WALKS_TEXT.split()
_NUMBERS_TEXT = """
    5201314 1314520 13145200 52013140 147258369 159357 159753 112233445566 11223344 123123 123321 12344321 123454321
    987654321 314159265359 13800138000 19491001 20080808
"""
NUMBERS = _NUMBERS_TEXT.split()
_PHRASES_TEXT = """
    iloveyouforever iloveyousomuch letmeinplease letmeinnow opensesame correcthorsebatterystaple thisismypassword mypassword
    yourpassword nopassword enterpassword adminadmin rootroot testtest demodemo passwordpassword adminpassword welcomehome
    helloworld goodmorning whatsmypassword trustnobody donttouch woaini1314520 woaini5201314 woaiwojia1314 woaizhongguo
    nishishui wobuzhidao wangjimima gongxifacai888
"""
PHRASES = _PHRASES_TEXT.split()


def made() -> list[str]:
    """Every entry, sorted, lower case, of eight characters or more: shorter ones are refused for their length."""
    return sorted({entry for entry in _entries() if len(entry) >= LEAST})


def _entries() -> Iterator[str]:
    yield from (*WALKS, *NUMBERS, *PHRASES, *WORDS)
    for word, tail in product(WORDS, TAILS):
        yield word + tail
    for word in WORDS:
        yield from (word * 2, "123" + word, word + word[::-1], word.replace("o", "0").replace("i", "1") + "123")
    for row in ROWS:
        yield from (row, row * 2, row + row[::-1], row + "123", row + "!")
    for first, second in product(ROWS, ROWS):
        yield from (first[:4] + second[:4], first[:5] + second[:5], first[:6] + second[:6], first + second)
    for number in NUMBERS:
        yield from (number * 2, "a" + number, "aa" + number, number + "a", "qq" + number)
    for year in range(1960, 2031):
        yield from (f"{year}0101", f"{year}1001", f"password{year}", f"admin{year}")


if __name__ == "__main__":
    FILE.write_text("\n".join(made()) + "\n", encoding="utf-8")
    print(f"{len(made())} entries in {FILE.relative_to(ROOT)}")
