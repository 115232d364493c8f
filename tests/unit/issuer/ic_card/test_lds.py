"""COM, DG1, DG2 and DG11: written as Doc 9303 says, read in that one way only."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import chips
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import lds, mrz, tlv
from mapae.issuer.ic_card.lds import Details
from mapae.issuer.ic_card.mrz import Mrz, names

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORD = st.text(LETTERS, min_size=1, max_size=12)
NAME = st.lists(WORD, min_size=1, max_size=2).map("<".join).filter(lambda name: len(name) <= 13)


@st.composite
def zones(draw) -> Mrz:
    day = st.dates(date(1930, 1, 1), date(2060, 1, 1)).map(lambda day: day.strftime("%y%m%d"))
    return Mrz(
        draw(st.text(LETTERS, min_size=3, max_size=3)),
        draw(st.text(LETTERS + "0123456789", min_size=1, max_size=9)),
        draw(day), draw(st.sampled_from("MF<")), draw(day),
        draw(st.text(LETTERS, min_size=1, max_size=3)), draw(NAME), draw(st.one_of(st.just(""), NAME)),
    )  # fmt: skip


# --- DG1 ----------------------------------------------------------------------------------------------------------


@given(zones())
def test_a_zone_is_read_as_it_was_written(zone):
    assert lds.read_dg1(lds.dg1(zone)) == zone
    assert len(zone.encode()) == 90


def test_the_published_zone_of_td1_comes_out():
    """Doc 9303-5, appendix B: the card of Anna Maria Eriksson."""
    zone = Mrz.of(
        state="UTO", number="D23145890", birth=date(1974, 8, 12), sex="female", expires=date(2012, 4, 15),
        nationality="UTO", name_latin="Eriksson, Anna Maria",
    )  # fmt: skip
    published = "I<UTOD231458907<<<<<<<<<<<<<<<7408122F1204159UTO<<<<<<<<<<<6ERIKSSON<<ANNA<MARIA<<<<<<<<<<"
    assert zone.encode() == published
    assert Mrz.parse(published) == zone


def test_no_letter_of_a_zone_can_be_changed_but_in_the_name():
    """Check digits cover number and dates, but for letters of the same worth (K is 20, A is 10, < and 0 are nought);
    the rest is covered by the SOD alone. There a change of one letter must come out as another value."""
    good = chips.MRZ.encode()
    for at in range(len(good)):
        for letter in "<0A9Z":
            bent = good[:at] + letter + good[at + 1 :]
            if bent == good:
                continue
            try:
                assert Mrz.parse(bent) != chips.MRZ
            except Refused as refused:
                assert refused.code is Code.CHIP_REFUSED
            else:
                same = mrz.check_digit(letter) == mrz.check_digit(good[at])
                assert at in (0, 1, 2, 3, 4, 37, 45, 46, 47) or at >= 60 or same, at


@pytest.mark.parametrize(
    "raw", [b"", b"I<KOR", chips.MRZ.encode().lower().encode(), "가".encode() * 30, b"\xff" * 90,
            chips.MRZ.encode().encode() + b"<"],
    ids=["nothing", "cut", "small letters", "hangul", "no text", "one too many"],
)  # fmt: skip
def test_a_zone_of_other_letters_or_length_is_refused(raw):
    with pytest.raises(Refused):
        lds.read_dg1(tlv.encode(0x61, tlv.encode(0x5F1F, raw)))


@pytest.mark.parametrize("name", ["", "<HAN<<JISOO", "HAN<<<JISOO", "HAN<<JI<<SOO"])
def test_a_name_with_fillers_in_a_second_way_is_refused(name):
    with pytest.raises(Refused):
        Mrz.parse(chips.MRZ.encode()[:60] + name.ljust(30, "<"))


@pytest.mark.parametrize(("birth", "good"), [("000229", True), ("010229", True), ("010230", False), ("011301", False)])
def test_a_date_of_a_zone_is_a_day(birth, good):
    """29 February as well: the zone does not say of which century."""
    text = replace(chips.MRZ, birth=birth).encode()
    if good:
        assert Mrz.parse(text).birth == birth
        return
    with pytest.raises(Refused):
        Mrz.parse(text)


@pytest.mark.parametrize("number", ["K123456789", "K12-34567", "", "가"])
def test_a_card_number_that_does_not_fit_is_refused(number):
    with pytest.raises(Refused):
        Mrz.of(
            state="KOR", number=number, birth=date(2001, 3, 9), sex="", expires=date(2036, 11, 2),
            nationality="KOR", name_latin="Han Jisoo",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("latin", "written"),
    [("Han Jisoo", ("HAN", "JISOO")), ("Namgung Min", ("NAMGUNG", "MIN")), ("Hong Gil-dong", ("HONG", "GIL<DONG")),
     ("Müller, Jörg", ("MUELLER", "JOERG")), ("O'Connor Niamh", ("OCONNOR", "NIAMH")), ("Madonna", ("MADONNA", "")),
     ("García López, María José", ("GARCIA<LOPEZ", "MARIA<JOSE")), ("Łukasiewicz Þóra", ("LUKASIEWICZ", "THORA")),
     ("Nguyễn Thị Hương", ("NGUYEN", "THI<HUONG"))],
)  # fmt: skip
def test_names_are_romanised(latin, written):
    """Doc 9303-3 6."""
    assert names(latin) == written


@pytest.mark.parametrize("latin", ["한지수", "", "  ", "Иванов Иван", "Han 2", ","])
def test_names_without_a_romanisation_are_refused(latin):
    with pytest.raises(Refused):
        names(latin)


def test_a_name_too_long_is_cut_and_some_of_each_part_stays():
    zone = Mrz.of(
        state="KOR", number="K1", birth=date(2001, 3, 9), sex="", expires=date(2036, 11, 2), nationality="KOR",
        name_latin="Papadopoulos Konstantinopolitou Papandreou, Theodoros Aristotelis",
    )  # fmt: skip
    assert (zone.surname, zone.given) == ("PAPADOPOULOS<KONSTANTINOPOL", "T")
    assert len(zone.encode()) == 90 and Mrz.parse(zone.encode()) == zone


def test_the_check_digit_is_the_published_one():
    """Doc 9303-3 4.9, its example 1: 520727 has 3."""
    assert mrz.check_digit("520727") == "3"


# --- DG2 ----------------------------------------------------------------------------------------------------------


def test_a_portrait_lies_in_its_record_as_iso_19794_5_says():
    jpeg = chips.PORTRAIT
    group = lds.dg2(jpeg)
    assert lds.read_dg2(group) == jpeg
    count, template = tlv.exactly(tlv.only(tlv.only(group, 0x75), 0x7F61), 0x02, 0x7F60)
    header, record = tlv.exactly(template, 0xA1, 0x5F2E)
    assert count == b"\1" and tlv.by_tag(header)[0x88] == b"\x00\x08"
    assert record[:8] == b"FAC\x00010\x00"
    assert int.from_bytes(record[8:12], "big") == len(record)
    assert int.from_bytes(record[12:14], "big") == 1
    assert int.from_bytes(record[14:18], "big") == len(record) - 14
    assert (int.from_bytes(record[36:38], "big"), int.from_bytes(record[38:40], "big")) == (120, 152)
    assert record[46:] == jpeg


def test_no_bit_of_the_record_around_the_portrait_can_be_changed():
    good = lds.dg2(chips.PORTRAIT)
    begins = len(good) - len(chips.PORTRAIT)
    for at in range(8 * begins):
        bent = bytearray(good)
        bent[at // 8] ^= 1 << at % 8
        with pytest.raises(Refused):
            lds.read_dg2(bytes(bent))


def saved(kind: str, size: tuple[int, int], **how: object) -> bytes:
    out = io.BytesIO()
    Image.new("L" if how.pop("grey", False) else "RGB", size).save(out, kind, **how)
    return out.getvalue()


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"grey": True}, {"exif": b"Exif\0\0" + bytes(40)}], ids=str)
def test_portraits_of_each_usual_make_are_taken(how):
    assert lds.jpeg_size(saved("JPEG", (413, 531), **how)) == (413, 531)


def test_the_tests_own_portrait_is_a_picture():
    with Image.open(io.BytesIO(chips.PORTRAIT)) as picture:
        assert picture.size == (120, 152) and picture.getpixel((60, 75)) == 128


BAD_PORTRAITS = {
    "nothing": b"",
    "no end": chips.PORTRAIT[:-2],
    "something behind": chips.PORTRAIT + b"x",
    "a PNG": saved("PNG", (413, 531)),
    "text": b"<svg/>",
    "two markers": b"\xff\xd8\xff\xd9",
    "a stamp": saved("JPEG", (40, 50)),
    "a poster": saved("JPEG", (100, 3000)),
    "a segment of no length": b"\xff\xd8\xff\xe0\x00\x00" + chips.PORTRAIT[2:],
    "a segment past the end": b"\xff\xd8\xff\xe0\xff\xff" + chips.PORTRAIT[2:],
    "a scan before its frame": b"\xff\xd8\xff\xda\x00\x02" + chips.PORTRAIT[2:],
    "twelve bits": chips.PORTRAIT.replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc0\x00\x0b\x0c"),
}


@pytest.mark.parametrize("raw", BAD_PORTRAITS.values(), ids=BAD_PORTRAITS.keys())
def test_what_is_no_portrait_is_refused(raw):
    with pytest.raises(Refused):
        lds.dg2(raw)


def test_a_portrait_larger_than_any_file_is_refused():
    with pytest.raises(Refused):
        lds.dg2(chips.PORTRAIT[:2] + b"\xff\xfe\xff\xff" + bytes(0xFFFD) + chips.PORTRAIT[2:])


# --- DG11 ---------------------------------------------------------------------------------------------------------


def test_name_and_address_are_read_in_the_national_script():
    raw = chips.DETAILS.encode()
    assert Details.parse(raw) == chips.DETAILS
    assert "한지수".encode() in raw and b"20010309" in raw


@given(st.text(max_size=12), st.text(max_size=12), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_details_are_written_in_one_spelling_or_refused(name, address, birth):
    try:
        raw = Details(name, birth, address).encode()
    except Refused:
        return
    assert Details.parse(raw) == Details(name, birth, address)


@pytest.mark.parametrize(
    "name", ["", " 한지수", "한지수 ", "한  지수", "한\n지수", "한<지수", "가" * 41, "\u1112\u1161\u11ab", "a\u202eb",
             "\ud800", "a\x00"], ids=ascii,
)  # fmt: skip
def test_a_text_in_another_spelling_is_refused(name):
    """NFD Hangul, directions turned around, lines, padding: nothing that reads as one thing and is another."""
    with pytest.raises(Refused):
        replace(chips.DETAILS, name=name).encode()


def test_bent_details_are_refused():
    good = chips.DETAILS.encode()
    hangul = "한".encode()
    long = tlv.join(((0x5F0E, b"a"), (0x5F2B, b"200101" + b"9" * 30), (0x5F42, b"x")))
    for bent in (good[:-1], good + b"\0", good.replace(b"20010309", b"20011309"), good.replace(b"2001", b"+201"),
                 tlv.encode(0x6B, lds._LIST + long),
                 good.replace(hangul, b"\xff\xff\xff"), good.replace(hangul, b"<<<")):  # fmt: skip
        assert bent != good
        with pytest.raises(Refused):
            Details.parse(bent)
