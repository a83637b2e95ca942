"""Say sentences by every free synthesiser Debian has, and keep the clips: one .npz a voice.

    python synthesise.py CLIPS_FOLDER [--scale 1.0] [--jobs 2]

Engines: espeak-ng (formant synthesis: many variants and English accents), flite and Festival
(voices cut from recordings of real people).  Festival's Czech, Finnish, Italian, Catalan and
Hindi voices are made to speak English: the sounds and timing come from its English voice, each
sound replaced by the nearest one the speaker has.  That gives human voices with strong accents.
For digits, espeak-ng's voices of other languages do the same from respelled words.

It knows no model and trains nothing.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import sentences
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 16000


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ESPEAK_VARIANTS = _words(
    "adam Alex Alicia Andrea Andy Annie antonio aunty belinda benjamin boris caleb david Denis "
    "Diogo ed edward edward2 Gene Gene2 grandma grandpa gustave Henrique Hugo iven iven2 iven3 "
    "iven4 Jacky john kaukovalta klatt klatt2 klatt3 klatt4 klatt5 klatt6 Lee linda f1 f2 f3 f4 "
    "f5 m1 m2 m3 m4 m5 m6 m7 m8 marcelo Marco Mario max Michael michel miguel mike Mr Nguyen "
    "norbert pablo paul pedro quincy RicishayMax RicishayMax2 RicishayMax3 rob robert robosoft2 "
    "sandro shelby steph steph2 steph3 Storm travis Tweaky victor zac AnxiousAndy croak anika "
    "whisper whisperf"
)
_ESPEAK_ACCENTS = (
    ("en-us",) * 4
    + ("en-gb",) * 3
    + _words("en-us-nyc en-gb-x-rp en-gb-scotland en-gb-x-gbclan en-gb-x-gbcwmd en-029")
)
# Never shown to the base model: measured as unheard, and used in the bundled recordings.
UNHEARD = frozenset(
    _words(
        "espeak-adam espeak-Annie espeak-f4 espeak-m7 espeak-Denis espeak-klatt4 espeak-steph2 "
        "espeak-quincy festival-ked festival-czech_krb"
    )
)


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of one engine; `speaker` is the engine's own name for it."""

    name: str
    engine: str
    speaker: str
    clips: int
    digit_takes: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A waveform of 16-bit samples at 16 kHz, and the words said in it."""

    text: str
    waveform: NDArray[np.int16]


def voices(scale: float = 1.0) -> list[Voice]:
    """Return every voice, with the number of clips to make multiplied by `scale`."""
    many, some, few = (max(1, round(count * scale)) for count in (1600, 800, 150))
    made = [Voice(f"espeak-{name}", "espeak", name, few, 3) for name in _ESPEAK_VARIANTS]
    made += [Voice(f"flite-{name}", "flite", name, many, 16) for name in _FLITE]
    made += [Voice(f"festival-{name}", "festival", name, some, 16) for name in _FESTIVAL]
    made += [Voice(f"festival-{name}", "foreign", name, some, 16) for name in _FOREIGN]
    made += [Voice(f"accent-{name}", "accent", name, 0, few // 3) for name in _RESPELLED]
    return made


def synthesise(voice: Voice, texts: list[str], seed: int) -> Iterator[Clip]:
    """Yield the texts as said by the voice, rate and pitch drawn anew for each."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        files = _ENGINES[voice.engine](voice.speaker, texts, Path(folder), rng)
        for text, file in zip(texts, files, strict=True):
            if file.exists() and len(waveform := _read(file)) > RATE // 10:
                yield Clip(text, waveform)


def load(file: Path) -> list[Clip]:
    """Read the clips of one voice."""
    with np.load(file) as stored:
        parts = np.split(stored["audio"], stored["ends"][:-1])
        return [Clip(str(text), part) for text, part in zip(stored["texts"], parts, strict=True)]


def save(file: Path, clips: list[Clip]) -> None:
    """Write the clips of one voice, so that a file that exists is whole."""
    draft = file.with_suffix(".draft.npz")
    np.savez(
        draft,
        audio=np.concatenate([clip.waveform for clip in clips]),
        ends=np.cumsum([len(clip.waveform) for clip in clips]),
        texts=np.array([clip.text for clip in clips]),
    )
    draft.rename(file)


def _read(file: Path) -> NDArray[np.int16]:
    samples, rate = soundfile.read(file, dtype="float32")
    resampled = soxr.resample(samples, rate, RATE)
    loudest = max(1.0, float(abs(resampled).max()))
    return _trim((resampled / loudest * 32767).astype(np.int16))


def _trim(waveform: NDArray[np.int16], margin: int = RATE // 25) -> NDArray[np.int16]:
    """Cut the silence around the speech, but for 40 ms on either side."""
    loud = np.flatnonzero(np.abs(waveform.astype(np.int32)) > 250)
    if not loud.size:
        return waveform[:0]
    return waveform[max(0, loud[0] - margin) : loud[-1] + margin]


def _espeak(variant: str, texts: list[str], folder: Path, rng: random.Random) -> list[Path]:
    files = [folder / f"{index}.wav" for index in range(len(texts))]
    for text, file in zip(texts, files, strict=True):
        accent = rng.choice(_ESPEAK_ACCENTS)
        rate, pitch = rng.randint(115, 215), rng.randint(15, 85)
        options = ["-v", f"{accent}+{variant}", "-s", str(rate), "-p", str(pitch)]
        # A gap between words now and then: people who dictate digits leave one.
        options += ["-g", str(rng.choice((0, 0, 0, 4, 10)))]
        subprocess.run(["espeak-ng", *options, "-w", str(file), _spoken(text)], check=True)
    return files


def _accent(language: str, texts: list[str], folder: Path, rng: random.Random) -> list[Path]:
    files = [folder / f"{index}.wav" for index in range(len(texts))]
    spelled = dict(zip(sentences.DIGITS, _RESPELLED[language].split(), strict=True))
    variants = [name for name in _ESPEAK_VARIANTS if f"espeak-{name}" not in UNHEARD]
    for text, file in zip(texts, files, strict=True):
        voice = f"{language}+{rng.choice(variants)}"
        rate, pitch = rng.randint(115, 215), rng.randint(15, 85)
        options = ["-v", voice, "-s", str(rate), "-p", str(pitch), "-w", str(file)]
        subprocess.run(["espeak-ng", *options, spelled[text]], check=True)
    return files


def _flite(speaker: str, texts: list[str], folder: Path, rng: random.Random) -> list[Path]:
    files = [folder / f"{index}.wav" for index in range(len(texts))]
    for text, file in zip(texts, files, strict=True):
        stretch, pitch = rng.uniform(0.8, 1.35), _FLITE[speaker] * rng.uniform(0.8, 1.25)
        options = ["--setf", f"duration_stretch={stretch:.2f}"]
        options += ["--setf", f"int_f0_target_mean={pitch:.0f}", "-o", str(file)]
        subprocess.run(["flite", "-voice", speaker, *options, "-t", _spoken(text)], check=True)
    return files


def _spoken(text: str) -> str:
    """Return the text so that an engine reads a lone `a` by its letter's name among letters."""
    parts = text.split()
    if all(len(part) == 1 for part in parts):
        return ", ".join(part.upper() for part in parts)
    return text


def _festival(speaker: str, texts: list[str], folder: Path, rng: random.Random) -> list[Path]:
    files = [folder / f"{index}.wav" for index in range(len(texts))]
    lines = [f"({_FESTIVAL[speaker]})"]
    for text, file in zip(texts, files, strict=True):
        lines.append(f"(Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.35):.2f})")
        lines.append(f'(set! u (utt.synth (Utterance Text "{_spoken(text)}")))')
        lines.append(f'(utt.save.wave u "{file}" \'riff)')
    _run_festival(lines, folder)
    return files


def _foreign(speaker: str, texts: list[str], folder: Path, rng: random.Random) -> list[Path]:
    files = [folder / f"{index}.wav" for index in range(len(texts))]
    select, language, mean_pitch = _FOREIGN[speaker]
    lines = [f"({select})"]
    for file, sounds in zip(files, _english_sounds(texts, folder), strict=True):
        stretch, pitch = rng.uniform(0.85, 1.5), mean_pitch * rng.uniform(0.8, 1.25)
        said = _segments(sounds, _SOUNDS[language], stretch, pitch)
        # A pair of sounds that the speaker never recorded must not end the whole run.
        lines.append(f"(unwind-protect (begin (set! u (utt.synth (Utterance Segments ({said}))))")
        lines.append(f'(utt.save.wave u "{file}" \'riff)) nil)')
    _run_festival(lines, folder)
    return files


@dataclass(frozen=True, slots=True)
class _Sound:
    name: str
    seconds: float
    pitch: float


def _english_sounds(texts: list[str], folder: Path) -> list[list[_Sound]]:
    """Ask Festival's English voice for each text's phones, their seconds and their pitch."""
    table = folder / "sounds.txt"
    lines = ["(voice_kal_diphone)", f'(set! out (fopen "{table}" "w"))']
    for text in texts:
        lines.append(f'(set! u (utt.synth (Utterance Text "{_spoken(text)}")))')
        lines.append('(format out "NEXT 0 0\\n")')
        lines.append(
            '(mapcar (lambda (s) (format out "%s %f %f\\n" (item.name s) (item.feat s \'end) '
            "(item.feat s 'R:Target.daughter1.f0))) (utt.relation.items u 'Segment))"
        )
    _run_festival([*lines, "(fclose out)"], folder)
    found: list[list[_Sound]] = []
    end, pitch = 0.0, 110.0
    for line in table.read_text().splitlines():
        name, until, target = line.split()
        if name == "NEXT":
            found.append([])
            end, pitch = 0.0, 110.0
            continue
        pitch = float(target) or pitch
        found[-1].append(_Sound(name, float(until) - end, pitch))
        end = float(until)
    return found


def _segments(
    sounds: list[_Sound], nearest: dict[str, str], stretch: float, mean_pitch: float
) -> str:
    said = []
    for sound in sounds:
        parts = nearest[sound.name].split("+")
        seconds = sound.seconds * stretch / len(parts)
        pitch = sound.pitch / 110.0 * mean_pitch
        said += [f"({part} {seconds:.3f} (0.0 {pitch:.0f}))" for part in parts]
    return " ".join(said)


def _run_festival(lines: list[str], folder: Path) -> None:
    script = folder / "say.scm"
    script.write_text("\n".join(lines) + "\n")
    command = ["festival", "-b", str(script)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _nearest(line: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in line.split())


# Festival's English phones, each with the nearest sound or pair of sounds a speaker has.
_SOUNDS = {
    "czech": _nearest(
        "aa=a: ae=e ah=a ao=o: aw=a+u ax=e ay=a+j b=b ch=c~ d=d dh=d eh=e er=e+r ey=e+j f=f g=g "
        "hh=h ih=i iy=i: jh=dz~ k=k l=l m=m n=n ng=n+g ow=o+u oy=o+j p=p r=r s=s sh=s~ t=t th=s "
        "uh=u uw=u: v=v w=v y=j z=z zh=z~ pau=# axr=e+r"
    ),
    "italian": _nearest(
        "aa=a ae=E ah=a ao=O aw=a+u ax=e ay=a+i b=b ch=tS d=d dh=d eh=E er=e+r ey=e+i f=f g=g "
        "hh=# ih=i iy=i jh=dZ k=k l=l m=m n=n ng=n+g ow=o+u oy=O+i p=p r=r s=s sh=S t=t th=t "
        "uh=u uw=u v=v w=w y=j z=z zh=dZ pau=# axr=e+r"
    ),
    "finnish": _nearest(
        "aa=a ae=@ ah=a ao=o aw=a+u ax=7 ay=a+i b=b ch=t+s d=d dh=d eh=e er=7+r ey=e+i f=f g=g "
        "hh=h ih=i iy=i jh=d+j k=k l=l m=m n=n ng=N ow=o+u oy=o+i p=p r=r s=s sh=s t=t th=t "
        "uh=u uw=u v=v w=v y=j z=s zh=s pau=# axr=7+r"
    ),
    "hindi": _nearest(
        "aa=aa ae=eh ah=a ao=oh aw=aw ax=a ay=ay b=b ch=ch d=D dh=d eh=eh er=a+r ey=ee f=f g=g "
        "hh=h ih=ih iy=iy jh=j k=k l=l m=m n=n ng=n+g ow=oo oy=oh+ih p=p r=r s=s sh=sh t=T th=th "
        "uh=uh uw=uw v=v w=v y=y z=s zh=sh pau=pau axr=a+r"
    ),
}
_FLITE = {"rms": 105, "slt": 170, "awb": 115, "kal16": 105}
_FESTIVAL = {"ked": "voice_ked_diphone", "slt_hts": "voice_cmu_us_slt_arctic_hts"}
_FOREIGN = {
    "czech_ph": ("voice_czech_ph", "czech", 100),
    "czech_dita": ("voice_czech_dita", "czech", 190),
    "czech_machac": ("voice_czech_machac", "czech", 105),
    "czech_krb": ("voice_czech_krb", "czech", 110),
    "italian_lp": ("voice_lp_diphone", "italian", 190),
    "italian_pc": ("voice_pc_diphone", "italian", 120),
    "finnish_mv": ("voice_hy_fi_mv_diphone", "finnish", 100),
    "finnish_lj": ("voice_suo_fi_lj_diphone", "finnish", 190),
    "hindi_nsk": ("voice_hindi_NSK_diphone", "hindi", 120),
}
# The ten digits, so spelled that a voice of another language says them as its speakers would.
_RESPELLED = {
    "de": "siero wann tuh tri for faif siks ßewen eht nain",
    "fr": "zirô ouane tou sri fôre faïve sixe sévenne éite naïne",
    "es": "sirou uan tu tri for faiv siks seven eit nain",
    "it": "zìrou uàn tu tri for faiv sics séven éit nàin",
    "nl": "ziero wan toe srie foor faiv siks seven eet nain",
    "pl": "ziroł łan tu fri for fajf siks sewen ejt najn",
    "pt": "zírou uane tu tri fór faive sikse séven eite naine",
    "ru": "зироу уан ту сри фо файв сикс сэвэн эйт найн",
    "el": "ζίρου ουάν του θρι φορ φάιβ σιξ σέβεν έιτ νάιν",
    "sv": "sirå oann to fri får fajv siks seven ejt najn",
    "hi": "ज़ीरो वन टू थ्री फ़ोर फ़ाइव सिक्स सेवन एट नाइन",
}
_Engine = Callable[[str, list[str], Path, random.Random], list[Path]]
_ENGINES: dict[str, _Engine] = {
    "espeak": _espeak,
    "flite": _flite,
    "festival": _festival,
    "foreign": _foreign,
    "accent": _accent,
}


def _make(job: tuple[Voice, Path]) -> str:
    voice, file = job
    seed = zlib.crc32(voice.name.encode())
    rng = random.Random(seed)
    texts = [sentences.utterance(rng) for _ in range(voice.clips)]
    texts += list(sentences.DIGITS) * voice.digit_takes
    clips = list(synthesise(voice, texts, seed))
    save(file, clips)
    seconds = sum(len(clip.waveform) for clip in clips) / RATE
    return f"{voice.name}: {len(clips)} of {len(texts)} clips, {seconds:.0f} s"


def main() -> None:
    """Make the clips of every voice that has none yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    jobs = [(voice, arguments.folder / f"{voice.name}.npz") for voice in voices(arguments.scale)]
    with Pool(arguments.jobs) as pool:
        for line in pool.imap_unordered(_make, [job for job in jobs if not job[1].exists()]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
