"""What the synthesisers are asked to say: digits, letters, commands and call-centre sentences.

Every function draws from a seeded generator and returns lower-case words with nothing but
letters, apostrophes and single spaces.  It knows no voice and no audio.
"""

from __future__ import annotations

import random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


DIGITS = _words("zero one two three four five six seven eight nine")
TEENS = _words("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fifteenth twentieth thirtieth"
)
MONTHS = _words(
    "january february march april may june july august september october november december"
)
DAYS = _words("monday tuesday wednesday thursday friday saturday sunday")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
COMMANDS = _words(
    "yes no stop go start left right up down on off back forward next previous open close play "
    "pause resume cancel confirm repeat help menu exit enter begin finish wait continue call "
    "hang up hold mute louder quieter more less again home search save delete copy move send "
    "read write print show hide select connect disconnect reset turn follow learn backward "
    "house bird cat dog tree happy wow bed marvin visual operator agent"
)
WORDS = _words("""
a able about above accept account across action add address afraid after afternoon again against
age ago agree air all almost alone along already also always am among amount an and angry animal
another answer any anyone anything apple apply appointment are area arm around arrive art as ask at
attention august autumn available away baby back bad bag balance ball bank battery be beautiful
because become bed before began behind believe below benefit best better between big bill bird bit
black block blood blue board boat body book born both bottle bottom bought box boy branch bread
break bridge bright bring broke broken brother brought brown build building burn bus business busy
but buy by cable cake call came camera can capital car card care carry case catch cause center
certain chair chance change charge cheap check child children choice choose church circle city
claim class clean clear clock close cloth clothes cloud coat code coffee cold collect color come
common company compare complaint complete computer condition confirm contact contract control cook
cool copy corner correct cost could count country course cover credit cross crowd cup current
customer cut damage damaged dark data date daughter day deal dear debit decide deep delay deliver
delivery department deposit describe desk detail device did die difference different difficult
digital dinner direct discount discuss do doctor does dog dollar done door doubt down draw dress
drink drive driver drop dry due during each ear early earth east easy eat edge egg eight either
electric electricity else email emergency empty end engine english enjoy enough enter equal error
even evening ever every everyone everything example except exchange expect expensive expire explain
extra eye face fact fail fall family far farm fast father fault favorite fear fee feel feet fell few
field fight figure file fill final find fine finger finish fire first fish fix flat flight floor
flower fly follow food foot for force foreign forget form forward found free fresh friend from front
fruit full fun funny further game garden gas gate gather gave general gentle get gift girl give glad
glass go gold gone good goods got grass gray great green ground group grow guess guest had hair half
hall hand happen happy hard has hat have he head health hear heard heart heat heavy height hello
help her here high hill him his history hold hole holiday home hope horse hospital hot hotel hour
house how however huge human hundred hungry hurry hurt husband ice idea if important in inch include
increase information inside instead insurance interest internet into invoice iron island issue it
item job join judge jump just keep kept key kind king kitchen knew know lady lake land language
large last late later laugh law lay lead learn least leave left leg length less lesson let letter
level library lie life lift light like limit line list listen little live load loan local lock long
look lose lost lot loud love low luck lunch machine made mail main make man manager many map mark
market match matter may maybe me meal mean measure meat medicine meet member message metal meter
middle might mile milk million mind mine minute mirror miss missing mistake mobile moment money
month moon more morning most mother mountain mouth move movie much music must my name narrow nature
near neck need neighbor neither network never new news newspaper next nice night no noise none noon
nor north nose not note nothing notice now number object ocean of off offer office often oil okay
old on once only open opinion or orange order original other our out outside over own package page
paid pain paint pair paper parcel parent park part party pass password past path pay payment peace
pencil penny people perfect perhaps period person phone photo picture piece place plan plane plant
plastic plate play please plenty plus pocket point police policy poor possible post pound power
practice premium prepare present president press pretty price print private prize probably problem
produce product promise proper protect prove provide public pull purchase purple push put quality
quarter queen question quick quickly quiet quite race radio rain raise ran rate rather reach read
ready real really reason receipt receive recent record red refund refuse register regular remember
remove rent repair replace replacement reply report request rest result return rich ride right ring
rise river road rock roof room round row rule run sad safe said sail salary sale salt same sand
satisfied save saw say scale school science screen sea seat second see seem sell send sense sent
service set several shade shall shape share sharp she sheet ship shipment shirt shoe shop short
should shoulder shout show shut sick side sign signal silver similar simple since sing single sister
sit size skin sky sleep slip slow slowly small smell smile smoke smooth snow so soap soft sold some
someone something sometimes son song soon sorry sort sound soup south space speak special speed
spell spend spoke spot spring square staff stage stand star station stay steel step still stone
stood stop store storm story straight strange street strong student study subject subscription such
sudden sugar suggest summer sun supply support sure surface surprise sweet swim system table take
talk tall taste tax taxi teach team technical telephone tell temperature test than thank thanks that
the their them then there these they thick thin thing think third this those though thought thousand
through throw ticket tie time tired to today together told tomorrow tonight too took tooth top total
touch toward town track trade traffic train transfer travel tree trip trouble truck true trust try
turn twice two type under understand unit until up upgrade upon upset urgent us use useful usual
valley value vegetable version very village visit voice wait walk wall want warm warranty was wash
waste watch water wave way we weak wear weather website week weight welcome well went were west wet
what wheel when where whether which while white who whole whose why wide wife wild will win wind
window winter wire wish with within without woman wonder wood word work world worry worse worth
would write wrong yard year yellow yes yesterday yet you young your zoo
""")

_SUBJECTS = ("i", "we", "my wife", "my husband", "my son", "the driver", "the customer", "someone")
_THINGS = _phrases(
    "refund|order|account|delivery|parcel|package|invoice|bill|subscription|contract|payment|"
    "password|card|phone|laptop|router|charger|camera|ticket|booking|reservation|appointment|"
    "warranty|insurance|policy|claim|receipt|replacement|gift card|credit note|battery|screen|"
    "washing machine|coffee maker|kettle|keyboard|printer|jacket|pair of shoes|blue dress"
)
_WANTS = _phrases(
    "i would like|i'd like|i want|we need|i need|i am calling to get|can i have|could i get|"
    "please send me|i am still waiting for|i never received|i was promised|we have lost|"
    "you still owe me|please look into|i have a question about|i want to complain about|"
    "tell me about|please check|i am not happy with|who can help me with"
)
_VERBS = _phrases(
    "cancel|change|return|update|check|confirm|renew|close|open|track|replace|repair|upgrade|"
    "move|stop|pay for|pick up|book|activate|exchange"
)
_POLITE = ("", "", "", "please", "thank you", "thanks", "if you can", "right away", "as well")
_OPENERS = ("",) * 4 + _phrases(
    "hello|hi there|good morning|good afternoon|good evening|excuse me|yes|no|okay|sorry|"
    "listen|well"
)
_PLACES = _words(
    "north south east west london boston paris berlin seoul the city the office the shop "
    "the warehouse the station the airport"
)
_STATES = _phrases(
    "broken|late|missing|damaged|wrong|too small|too big|too expensive|empty|blocked|locked|"
    "not working|very slow|still open|already paid|out of stock|on its way|the wrong color"
)
_PHRASES = _phrases(
    "my name is {word}|please hold the line|can you hear me|could you repeat that please|"
    "i will call back later|the line is very bad|is there anything else|no that is all|"
    "thank you for calling|how can i help you today|what is your order number|"
    "may i have your account number|let me check that for you|one moment please|"
    "i can't hear you|it doesn't work|that's right|that's wrong|i don't know|we're closed|"
    "you're welcome|it's on its way|they didn't deliver it|he won't pay|she isn't at home|"
    "turn the light on|turn the volume down|set an alarm for {hour}|remind me on {day}|"
    "what time is it|what is the weather like in {place}|play some music in the kitchen|"
    "call me back on {day}|the meeting starts at {hour}|we leave for {place} on {day}|"
    "my number is {digits}|my account number is {digits}|the order number is {digits}|"
    "my post code is {letters} {digits}|that is {letters} as in {word}|spell it {letters}|"
    "it costs {number} dollars|i paid {number} pounds|they charged me twice|"
    "i was charged {number} dollars on {day}|the total is {number} euros and {number} cents|"
    "on the {ordinal} of {month}|it was delivered on the {ordinal} of {month}|"
    "my birthday is the {ordinal} of {month}|flight number {letters} {digits}|"
    "there are {number} people in the queue|press {digit} to speak to an agent|"
    "press {digit} for the main menu|the code is {digits}|room {digits} on floor {digit}|"
    "we waited for {number} minutes|it is {number} degrees in {place}"
)


def digits(rng: random.Random, most: int = 7) -> str:
    """Return one to `most` digits in words; now and then `oh` stands for zero."""
    said = [rng.choice(DIGITS) for _ in range(rng.randint(1, most))]
    if rng.random() < 0.05:
        said = ["oh" if word == "zero" else word for word in said]
    return " ".join(said)


def letters(rng: random.Random) -> str:
    """Return one to five letters said by name, written apart."""
    return " ".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 5)))


def number(rng: random.Random) -> str:
    """Return a number below ten thousand in words."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice((*DIGITS, *TEENS))
    if kind < 0.7:
        return " ".join((rng.choice(TENS), *rng.choices(DIGITS[1:], k=rng.randint(0, 1))))
    unit = rng.choice(("hundred", "hundred", "thousand"))
    rest = [] if rng.random() < 0.4 else ["and", rng.choice(TENS), rng.choice(DIGITS[1:])]
    return " ".join([rng.choice(DIGITS[1:]), unit, *rest])


def command(rng: random.Random) -> str:
    """Return one to three command words."""
    return " ".join(rng.choice(COMMANDS) for _ in range(rng.randint(1, 3)))


def words(rng: random.Random) -> str:
    """Return two to seven unrelated common words: sounds without a sentence to lean on."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 7)))


def _phrase(rng: random.Random) -> str:
    return rng.choice(_PHRASES).format(
        word=rng.choice(WORDS),
        hour=rng.choice(DIGITS[1:] + TEENS[:3]),
        day=rng.choice(DAYS),
        place=rng.choice(_PLACES),
        digits=digits(rng, 5),
        digit=rng.choice(DIGITS),
        letters=letters(rng),
        number=number(rng),
        ordinal=rng.choice(ORDINALS),
        month=rng.choice(MONTHS),
    )


def _request(rng: random.Random) -> str:
    thing = rng.choice(_THINGS)
    pattern = rng.randrange(6)
    if pattern == 0:
        core = f"{rng.choice(_WANTS)} {rng.choice(('a', 'the', 'my', 'our'))} {thing}"
    elif pattern == 1:
        core = f"i want to {rng.choice(_VERBS)} my {thing}"
    elif pattern == 2:
        core = f"the {thing} is {rng.choice(_STATES)}"
    elif pattern == 3:
        core = f"{rng.choice(_SUBJECTS)} asked for a {thing} last {rng.choice(DAYS)}"
    elif pattern == 4:
        core = f"how do i {rng.choice(_VERBS)} the {thing} for {rng.choice(('order', 'account'))} "
        core += digits(rng, 4)
    else:
        core = f"please {rng.choice(_VERBS)} the {thing} and {rng.choice(_VERBS)} my "
        core += rng.choice(_THINGS)
    return " ".join(part for part in (rng.choice(_OPENERS), core, rng.choice(_POLITE)) if part)


def sentence(rng: random.Random) -> str:
    """Return an everyday or call-centre sentence."""
    return _request(rng) if rng.random() < 0.5 else _phrase(rng)


def utterance(rng: random.Random) -> str:
    """Return something to say, in the proportions the base model is trained on."""
    kinds = (digits, words, sentence, letters, number, command)
    return rng.choices(kinds, weights=(26, 26, 30, 6, 5, 7))[0](rng)
