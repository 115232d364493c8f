/**
 * Korean particles after words that are filled in: "이름을(를)" becomes "이름을".
 * Promises: the particle fits the last syllable or digit; after anything else both stand. Trusts, keeps, refuses: nothing.
 */
const PAIRS: Readonly<Record<string, readonly [string, string]>> = {
  "을(를)": ["을", "를"], "은(는)": ["은", "는"], "이(가)": ["이", "가"], "(으)로": ["으로", "로"],
}; // prettier-ignore
const CLOSING = "[’”\"')\\]]*";
const PARTICLE = new RegExp(`([가-힣0-9])(${CLOSING})(을\\(를\\)|은\\(는\\)|이\\(가\\)|\\(으\\)로)`, "g");
/** The final consonant of each digit as it is read, 영 to 구: 8 is ㄹ, as in a syllable's code. */
const DIGITS = [21, 8, 0, 16, 0, 0, 1, 8, 8, 0] as const;

export function particles(text: string): string {
  return text.replace(PARTICLE, (_, before: string, closing: string, both: string) => {
    const final = /\d/.test(before) ? DIGITS[Number(before)] : (before.charCodeAt(0) - 0xac00) % 28;
    const [after, bare] = PAIRS[both] ?? [both, both];
    return `${before}${closing}${final === 0 || (both === "(으)로" && final === 8) ? bare : after}`;
  });
}
