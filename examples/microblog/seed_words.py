"""The names (one string, blanks between them) and sentences of the sample network."""

from __future__ import annotations

FIRST_NAMES = """
Ada Aisha Akira Alba Amara Amir Ana Anders Anika Anton Aria Astrid Aurora Ben Bianca Bo Bruno
Camille Carlos Carmen Chen Chiara Clara Dana Daniel Diego Dina Edda Elena Elias Ella Emil Emma
Enzo Esra Eva Farah Felix Fiona Freya Gabriel Gita Greta Hana Hassan Hugo Ida Imani Ines Ingrid
Isaac Iva Jakob Jana Javier Jonas Julia Kai Karim Katya Kenji Kofi Lara Lars Layla Leo Lena Lina
Luca Lucia Maja Malik Marco Maria Marta Mateo Maya Mei Mila Mina Nadia Naomi Nico Nina Noah Nora
Olga Omar Oscar Paolo Petra Pia Priya Rafael Rania Ravi Rosa Ruben Sam Samira Sara Selma Sofia
Stefan Sven Tariq Tessa Theo Tomas Uma Vera Viktor Wei Yara Yusuf Zara Zoe
"""

LAST_NAMES = """
Abe Adeyemi Ahmed Almeida Andersen Bakker Banerjee Barbieri Bauer Becker Berg Bianchi Blanc Borg
Castillo Chan Chaudhry Conti Costa Cruz Dahl Dubois Duarte Eriksen Fabre Farouk Ferrari Fischer
Flores Fontaine Fujita Garcia Gomez Greco Haddad Hansen Hartmann Hayashi Herrera Holm Horvat
Ibrahim Ito Ivanova Jansen Jensen Joshi Kaya Keller Khan Kim Klein Kowalski Kumar Larsen Laurent
Lindgren Lopez Maier Mancini Marino Martel Mehta Mensah Meyer Moreau Mori Morales Nakamura Navarro
Nguyen Nielsen Novak Nowak Okafor Okoye Olsen Ortega Osman Park Patel Pereira Petrov Popescu Ramos
Reyes Ricci Rossi Roux Saito Salem Santos Sato Schmitt Sharma Silva Singh Sousa Suzuki Tanaka
Torres Vargas Vega Vidal Virtanen Vogel Wagner Weber Winter Yamada Yilmaz Zhang Ziegler
"""

# A topic: sentences with a gap, and what may fill the gap.
TOPICS: list[tuple[list[str], list[str]]] = [
    (
        [
            "First try at {} today. Edible, and that is all I will say.",
            "All it takes for {} is time. Nobody wants to hear it.",
            "Does anybody have a good recipe for {}?",
            "Second batch of {} in the oven. The kitchen smells wonderful.",
            "I made {} for ten, and we are two. Come by.",
            "Baked {} for the neighbours. We are friends now.",
        ],
        [
            "rye bread",
            "cinnamon rolls",
            "focaccia",
            "apple cake",
            "sourdough",
            "lemon tart",
            "bagels",
        ],
    ),
    (
        [
            "Rode {} this morning. Legs of lead, head clear.",
            "Headwind {}. Both ways, of course.",
            "If you have never cycled {}: take a day off and do it.",
            "Two punctures {}. Still better than the train.",
            "Up at five to ride {}. No regrets.",
        ],
        [
            "along the river",
            "up to the pass",
            "around the lake",
            "to work and back",
            "to the coast",
        ],
    ),
    (
        [
            "The {} are up! Three weeks late, but they are up.",
            "Something eats my {} at night. I am keeping watch.",
            "Moved the {} to the sunny side. Let us see.",
            "More {} than we can eat. A good problem to have.",
            "Can one still plant {} in this weather?",
        ],
        ["tomatoes", "beans", "sweet peas", "radishes", "strawberries", "pumpkins", "dahlias"],
    ),
    (
        [
            "Spent the day on the {}. It was a missing comma.",
            "Today I learned something about our {} that I should have known for ten years.",
            "Deleted four hundred lines of the {}. Best day of the week.",
            "Whoever wrote this {}: I know it was me. I am sorry.",
            "Small steps, small commits. Even in the {}.",
            "The tests for the {} pass. I do not trust them.",
        ],
        ["date handling", "parser", "index", "cache", "migration", "state machine"],
    ),
    (
        [
            "Listening to {} on repeat. Send help, or more of it.",
            "Practised {} for an hour. The cat has left the room.",
            "Heard {} live last night. Still humming.",
            "There is no bad weather for {}.",
            "Found a worn record of {} at the flea market. It plays!",
        ],
        ["a cello suite", "old tangos", "Nina Simone", "a string quartet", "Afrobeat", "Bach"],
    ),
    (
        [
            "Halfway through {}. No spoilers, please.",
            "Finished {} at two in the morning. Worth it.",
            "Our reading group has chosen {} for next month.",
            "I have owned {} for years and started it only now. Why did nobody say?",
            "Gave {} away as a present and bought it again the same day.",
        ],
        [
            "Middlemarch",
            "a book on whales",
            "The Leopard",
            "Kindred",
            "a history of salt",
            "Dracula",
        ],
    ),
    (
        [
            "Saw {} from the balcony, between two clouds.",
            "Stayed out until one for {}. Cold feet, happy heart.",
            "Clear sky tonight: look south for {}.",
            "Explained {} to my niece. She now explains it to everybody.",
            "Fog. No {} for me tonight.",
        ],
        ["Saturn", "the Perseids", "the space station", "Jupiter's moons", "the Pleiades", "Orion"],
    ),
    (
        [
            "Saw {} on my way to work. Stood there until I was late.",
            "I am sure I heard {}. Spring may begin.",
            "Is this {}? The photograph is poor, the joy is not.",
            "Nothing at the feeder but {}. I am not complaining.",
            "Two hours in the reeds, and then, at last, {}.",
        ],
        ["a kingfisher", "a goldfinch", "a wren", "a heron", "a nuthatch", "a redstart"],
    ),
    (
        [
            "Night train {}. Slept like a stone, woke up among mountains.",
            "Forty minutes late {}, and the whole carriage is singing.",
            "Window seat, thermos, and {} we go.",
            "The dining car {} still serves soup. There is hope.",
        ],
        ["to Vienna", "to the sea", "over the bridge", "to my sister's", "through the Alps"],
    ),
    (
        [
            "Ten kilometres {}. Slow, and I do not mind.",
            "New shoes, old knees. Ran {} all the same.",
            "Ran {} and met three dogs. A good morning.",
            "Who comes along for a run {} on Sunday?",
        ],
        ["in the rain", "through the park", "before breakfast", "along the canal", "in the hills"],
    ),
]

ANYTIME = [
    "Good morning to everybody who got up before the sun.",
    "Coffee first. Then we shall see.",
    "Does anybody else water their plants with a guilty conscience?",
    "A quiet day. I recommend it.",
    "It is raining, and I have nowhere to be. Perfect.",
    "Note to self: drink water.",
    "Thank you for all the kind answers yesterday!",
    "I have decided to read less news and more letters.",
    "What was the best thing you ate this week?",
    "Weekend. Finally.",
    "My neighbour has learned the trumpet. Almost.",
    "Found ten euros in my winter coat. Rich now.",
]

ENDINGS = [
    "More tomorrow.",
    "Pictures will follow.",
    "I would do it again.",
    "My sister says hello, by the way.",
    "It was worth the wait.",
    "Now for a cup of tea.",
    "I have learned my lesson. Probably.",
    "Does that happen to you, too?",
    "Happy to lend a hand if you want to try.",
    "What a day!",
    "Small joys.",
    "Twenty years ago I would have laughed at this.",
    "That is what Sundays are for.",
    "Do not tell my mother.",
    "And all of it before breakfast.",
    "I can recommend it to everybody.",
    "Next time with friends.",
    "The dog was not impressed.",
    "You should have been there.",
    "It took me three attempts.",
    "Time well wasted.",
    "I still cannot believe it.",
    "Tips are welcome.",
    "And then it began to rain.",
]
