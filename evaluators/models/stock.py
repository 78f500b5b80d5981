"""Our models as stock lmms-eval makes them, from strings on its own command line."""

from evaluators.paired import StockPaired


class Qwen(StockPaired):
    """`--model hlvid_qwen`."""

    model_name = "qwen"


class NvilaHd(StockPaired):
    """`--model hlvid_nvila_hd`."""

    model_name = "nvila-hd"


class Ocr(StockPaired):
    """`--model hlvid_ocr`."""

    model_name = "ocr"


class TextOnly(StockPaired):
    """`--model hlvid_text_only`."""

    model_name = "text-only"


class Gold(StockPaired):
    """`--model hlvid_gold`."""

    model_name = "gold"


class RandomLetter(StockPaired):
    """`--model hlvid_random_letter`."""

    model_name = "random-letter"
