"""What every server of the comparison answers; the same as guests/works/src/content.rs."""

TEXT = b"Hello, world!\n"
BURNT = b"burnt\n"
PIECE = 64 * 1024
PIECES = 16
RECORDS = 72


def piece() -> bytes:
    return b"x" * PIECE


def burn(rounds: int):
    for _ in range(rounds):
        for _ in range(10_000):
            pass


def document() -> list[dict]:
    return [
        {
            "id": number,
            "name": f"Customer number {number}",
            "email": f"customer.{number}@shop.example",
            "active": number % 3 != 0,
            "score": number * 0.5,
            "tags": ["retail", "newsletter", "europe"],
        }
        for number in range(RECORDS)
    ]
