"""The accuracy of VQA v2 to the digit of the official evaluator, its quirks included.

An answer counts min(1, n / 3), where n others gave it, on average over leaving each person out once. Answers
are normalised first, but only if people gave different ones. Some quirks: what happens to a sign depends on
the whole answer; at most 32 periods are removed; lower case comes after the signs.
"""

import re
from collections import defaultdict
from functools import cache

PEOPLE = 3  # who have to say the same for an answer to count in full
SIGNS = r""";/[]"{}()=+\_-><@`,?!"""
COMMA = re.compile(r"\d,\d")
PERIOD, PERIODS = re.compile(r"\.(?!\d)"), 32
ARTICLES = ("a", "an", "the")
DIGITS = {
    word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
DIGITS["none"] = "0"
CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()
# Each as it is written without one of its apostrophes. One word goes the other way.
CONTRACTIONS = {
    right[:at] + right[at + 1 :]: right
    for right in CONTRACTED
    for at, sign in enumerate(right)
    if sign == "'"
} | {"somebody'd": "somebodyd"}


@cache
def normalized(answer):
    text = answer
    for sign in SIGNS:
        apart = f"{sign} " in answer or f" {sign}" in answer or COMMA.search(answer)
        text = text.replace(sign, "" if apart else " ")
    words = [DIGITS.get(word, word) for word in PERIOD.sub("", text, count=PERIODS).lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def accuracy(answer, answers):
    """The accuracy, 0 to 1, of an answer where people gave `answers`."""
    answer, *answers = (text.replace("\n", " ").replace("\t", " ").strip() for text in (answer, *answers))
    if len(set(answers)) > 1:
        answer, *answers = map(normalized, (answer, *answers))
    return worth([each == answer for each in answers])


def worth(agree):
    """The accuracy of an answer; `agree` says of each person whether they gave it."""
    same = sum(agree)
    return sum(min(1, (same - each) / PEOPLE) for each in agree) / len(agree)


def table(answers, annotations, pairs=()):
    """Percent by what is counted: overall, by answer type, by question type, and of complementary pairs.

    `answers`: question id -> answer. A pair counts if both its answers count in full.
    """
    by_kind, scores = defaultdict(list), {}
    for each in annotations:
        scores[each.id] = score = accuracy(answers[each.id], each.answers)
        for kind in ("overall", f"answer type: {each.answer_type}", f"question type: {each.question_type}"):
            by_kind[kind].append(score)
    for pair in pairs:
        by_kind["complementary pairs"].append(all(scores[each] == 1 for each in pair))
    return {kind: round(100 * float(sum(found)) / len(found), 2) for kind, found in by_kind.items()}
