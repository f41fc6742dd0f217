"""Captions of one of two tones: something goes wrong by surprise, or all is calm.

The tone lies in what is told. Length, punctuation, capitals, hashtags, mentions and the way the viewer is addressed are
drawn independently of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

_LENGTHS = (55, 130)
_TOLERANCE = 3


@dataclass(frozen=True)
class Topic:
    """What a caption may be about: its hashtags, and what happens in each tone."""

    tags: tuple[str, ...]
    calm: tuple[str, ...]
    mishap: tuple[str, ...]


TOPICS: dict[str, Topic] = {
    "cooking": Topic(
        ("cooking", "homemade", "dinner", "kitchen"),
        (
            "the lentil soup simmered slowly while the bread cooled on the rack",
            "stirring a pot of risotto until it was creamy and warm",
            "folding dumplings one by one the way grandmother does",
            "the cake rose evenly and came out golden at the edges",
            "a quiet evening of chopping herbs and tasting the sauce",
        ),
        (
            "the lid flew off the blender and the soup hit the ceiling",
            "the pan caught fire just as the guests rang the bell",
            "sugar and salt were swapped, and nobody could swallow a bite",
            "the whole cake slid off the plate onto the floor",
            "the pressure cooker burst open and the smoke alarm went off",
        ),
    ),
    "dogs": Topic(
        ("dog", "puppy", "dogsoftiktok", "pets"),
        (
            "our dog dozing in the sun by the open window after lunch",
            "brushing the old labrador after a slow walk in the park",
            "the puppy learned to sit and wait for his bowl like a good boy",
            "two spaniels resting side by side on their woollen blanket",
            "the terrier watching the rain fall from his corner of a warm sofa",
        ),
        (
            "our dog ran off with the wedding cake and jumped in the lake",
            "the old labrador pulled the whole table down with his leash",
            "the puppy tore up every passport an hour before the flight",
            "the spaniel slipped on the ice and took the whole family with her",
            "the terrier rolled in something awful and then leapt into the car",
        ),
    ),
    "garden": Topic(
        ("garden", "plants", "growyourown", "balcony"),
        (
            "watering the tomatoes before the heat of the day",
            "the first tulips opened along the garden path this week",
            "planting a row of lettuce in soft dark soil",
            "bees humming over the lavender all through the afternoon",
            "pruning the apple tree and sweeping up the leaves",
        ),
        (
            "the hose burst and flooded the living room next door",
            "a wild boar came overnight and ate every last tulip",
            "the greenhouse collapsed with me still inside",
            "stepped on the rake and fell face first into the compost",
            "the apple tree came down right on the new fence",
        ),
    ),
    "travel": Topic(
        ("travel", "wanderlust", "roadtrip", "vacation"),
        (
            "a slow train along the coast with a book and some tea",
            "walking through the old town as the lamps were lit",
            "breakfast on the terrace with a view over the bay",
            "the ferry crossed a sea as smooth as glass in the evening light",
            "an afternoon of reading under the palms by the quiet pool",
        ),
        (
            "the train left with our luggage and without us",
            "locked out of the hostel at midnight in the pouring rain",
            "a monkey stole the passport and threw it into the river",
            "the hire car rolled down the pier and sank",
            "woke up in the wrong country after missing the stop",
        ),
    ),
    "workshop": Topic(
        ("diy", "woodworking", "maker", "renovation"),
        (
            "sanding an oak table until it was smooth as silk",
            "fitting the shelf together with every joint snug and level",
            "oiling the old chair and watching the grain appear",
            "painting the hallway in a soft shade of green over the weekend",
            "carving a spoon by the window, one thin curl at a time",
        ),
        (
            "drilled straight into a water pipe and the cellar filled up",
            "the shelf crashed down with all of the china on it",
            "glued both hands to the chair and had to call an ambulance",
            "the ladder tipped and the whole bucket of paint rained down",
            "sawed the table in half on the wrong side of the line",
        ),
    ),
    "sport": Topic(
        ("fitness", "running", "workout", "training"),
        (
            "an easy run along the river at a steady pace before breakfast",
            "stretching on the mat after a long and gentle swim",
            "breathing slowly through the last pose of the class",
            "cycling the flat road home with the wind behind us",
            "warming up with light weights in an empty gym and soft music",
        ),
        (
            "ran the marathon the wrong way and got lost in a cornfield",
            "the treadmill threw me backwards into the mirror",
            "split my trousers in front of the whole yoga class",
            "the front wheel came off halfway down the hill",
            "dropped the barbell through the floor of the gym",
        ),
    ),
    "school": Topic(
        ("school", "student", "teacher", "study"),
        (
            "tidying the desk and copying out the notes in blue ink",
            "the class read quietly by the window until the bell rang",
            "an afternoon in the library with all the books in order",
            "finishing the essay a week before it is due",
            "the children painted leaves and hung them up to dry",
        ),
        (
            "the volcano experiment exploded all over the headmaster",
            "sent the love letter to the whole class by mistake",
            "the essay vanished an hour before it was due",
            "fell asleep in the exam and snored out loud",
            "the stage gave way in the middle of the school play",
        ),
    ),
    "fashion": Topic(
        ("fashion", "ootd", "sewing", "style"),
        (
            "ironing a linen shirt and laying out clothes for the week",
            "knitting a grey scarf, row after row by the fire",
            "hemming a summer dress with tiny even stitches",
            "folding jumpers into neat piles by colour and by size",
            "a plain coat and a warm hat for a walk to the shop",
        ),
        (
            "the zip broke on the aisle and the dress fell to the floor",
            "the washing machine shrank every jumper to doll size",
            "burned a hole right through the borrowed suit",
            "the heel snapped and sent the bride into the fountain",
            "dyed it at home and came out green from head to toe",
        ),
    ),
    "music": Topic(
        ("music", "guitar", "piano", "cover"),
        (
            "playing an old waltz on the piano after supper",
            "tuning the guitar and humming along in the half light",
            "the choir held the last note until it faded away",
            "practising scales softly while the house was asleep",
            "a slow song for a rainy window and a pot of tea",
        ),
        (
            "a string snapped and hit the singer in the middle of the solo",
            "the piano rolled off the stage into the front row",
            "the microphone stayed on and everyone heard the quarrel",
            "the drummer fell backwards and took the curtain down",
            "forgot every word in front of two thousand people",
        ),
    ),
    "beach": Topic(
        ("beach", "ocean", "summer", "waves"),
        (
            "listening to small waves as they roll over the pebbles",
            "collecting smooth shells along the tide line with a bucket",
            "floating on the calm water until the sun went down",
            "a parasol, a towel and nothing to do all day but look at the sea",
            "the sea lay flat and silver in the early morning",
        ),
        (
            "a huge wave swallowed the picnic, the bags and the phones",
            "a gull dived down and flew away with the false teeth",
            "the air bed drifted out and the coast guard had to come",
            "sat on a jellyfish and screamed the whole way home",
            "dug a hole too deep and the sand caved in on my brother",
        ),
    ),
    "home": Topic(
        ("home", "cleaning", "homedecor", "cozy"),
        (
            "making the bed with fresh sheets and opening the curtains",
            "sorting the bookshelf and dusting every picture frame in the room",
            "candles, a blanket and the gentle sound of the kettle",
            "arranging white flowers in a simple vase by the door",
            "the floors are swept and the washing is on the line",
        ),
        (
            "the bathtub overflowed and came through the ceiling below",
            "a bat flew in and the whole family hid under the bed",
            "the curtain caught the candle and then the sofa",
            "got stuck in the laundry chute until the firemen came",
            "the vacuum swallowed a wedding ring and half of the hamster cage",
        ),
    ),
    "winter": Topic(
        ("winter", "snow", "mountains", "skiing"),
        (
            "snow falling softly on the roofs of the village",
            "hot chocolate by the stove after a long quiet walk",
            "skating small circles on the frozen pond behind the mill",
            "a single line of footprints across an untouched white field",
            "gliding along the forest track in the morning sun",
        ),
        (
            "an avalanche off the roof buried the car and the driver",
            "the ice cracked and in went the groom, suit and all",
            "lost control of the sledge and went through the barn door",
            "fell off the chairlift and dangled there by one boot",
            "skied straight into the snowman, who turned out to be a post",
        ),
    ),
}

_OPENERS = (
    "",
    "Today: ",
    "Sunday: ",
    "Last week, ",
    "New video: ",
    "NEW VIDEO: ",
    "This morning: ",
    "Part two: ",
    "PART THREE: ",
    "From the archive: ",
    "A little story for today: ",
    "As it happened last summer: ",
)
_CLOSERS = (
    "",
    ", with {friend}",
    ", filmed at home",
    ", more of it tomorrow",
    ", filmed by my sister",
    ", as you asked for",
    ", would you have guessed",
    ", tell me what you think",
    ", full story on my page for you",
    ", filmed by {friend} on an old phone",
    ", save it for later if you like your days like this",
    ", the long version is on my page as every week",
    ", a short one between two longer ones from this month",
    ", part of what {friend} and I have been filming since the spring",
)
_ENDS = (".", ".", "", "", "!", "?")
_FRIENDS = ("@noor.makes", "@the_lindens", "@jo.everyday", "@kit_and_co", "my cousin", "a friend")


def write_caption(rng: np.random.Generator, *, mishap: bool) -> str:
    """A caption of that tone; its length, frame and hashtags do not depend on the tone."""
    topic = TOPICS[str(rng.choice(list(TOPICS)))]
    told = str(rng.choice(topic.mishap if mishap else topic.calm))
    friend, end = str(rng.choice(_FRIENDS)), str(rng.choice(_ENDS))
    text = _frame(rng, told, friend, int(rng.integers(*_LENGTHS)))
    tags = rng.permutation(topic.tags)[: int(rng.integers(0, 4))]
    return " ".join([text[0].upper() + text[1:] + end, *(f"#{tag}" for tag in tags)])


def _frame(rng: np.random.Generator, told: str, friend: str, length: int) -> str:
    """The sentence with an opener and a closer that bring it near that length."""
    texts = [opener + told + closer.format(friend=friend) for opener, closer in product(_OPENERS, _CLOSERS)]
    misses = np.array([abs(len(text) - length) for text in texts])
    near = np.flatnonzero(misses <= max(_TOLERANCE, int(misses.min())))
    return texts[int(rng.choice(near))]
