/** What the wallet does and says where it cannot hear how a stranger's card stands. */
import { beforeEach, expect, test } from "vitest";
import { CardFace } from "../src/parts/card_face.ts";
import { Wallet } from "../src/wallet.ts";
import { moment, speak, t } from "../src/words.ts";
import { Abroad } from "./abroad.ts";
import { type Authority, authority, BASE, below, certify, Country, NOW, pair } from "./country.ts";

const PIN = "274913";
let names = 0;
let now: number;
let abroad: Abroad;
let wallet: Wallet;

beforeEach(async () => {
  now = NOW;
  const land = await Country.open();
  abroad = await Abroad.open(land);
  abroad.refreshes = true;
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 };
  wallet = await Wallet.open({ base: BASE, fetch: land.fetch, now: () => now, cost, database: `standing-${++names}` });
  wallet.device = { id: "d1", state: "active", heard: NOW };
  await wallet.vault.create(PIN);
});

async function receive(): Promise<void> {
  const meant = await wallet.understand(abroad.offer);
  if (!("offered" in meant)) throw new Error("not an offer");
  await wallet.acceptOffer(meant.offered, () => undefined);
}

async function lists(ca: Authority, above: readonly Authority[] = []): Promise<void> {
  const signer = await pair();
  abroad.statusBy = { key: signer.key, chain: [await certify(ca, "C=GB, CN=Lists", signer, 300, null), ...above.map(({ der }) => der)] };
}

/** All that the face of the card says. */
function said(): string {
  const face = new CardFace();
  face.requestUpdate = () => undefined; // there is no page to draw on
  face.order = wallet.orders[0] ?? null;
  const words = (value: unknown): string => (Array.isArray(value) ? value.map(words).join(" ") : typeof value === "object" && value !== null && "values" in value ? words(value.values) : String(value));
  return words((face as unknown as { render: () => unknown }).render());
}

const batches = (): number => abroad.calls.filter((call) => call === "POST /credential").length;

test.each<[string, () => Promise<void>]>([
  ["whose signer changed, of chains of a leaf alone", async () => {
    await receive();
    await lists(abroad.ca);
    await wallet.tend();
    await lists(abroad.ca);
  }],
  ["below another authority than the card's, where the chains do not show the one above both", async () => {
    const office = await below(abroad.ca, "C=GB, CN=Office A");
    abroad.ds = await pair();
    abroad.dsDer = await certify(office, "C=GB, O=Home Office, CN=PID signer", abroad.ds, 300, null);
    abroad.above = [office.der];
    await receive();
    const other = await below(abroad.ca, "C=GB, CN=Office B");
    await lists(other, [other]);
  }],
  ["that another signed than its certificate says", async () => {
    await receive();
    abroad.statusBy = { key: (await pair()).key, chain: [abroad.dsDer] };
  }],
  ["of a stranger who took the authority's name", async () => {
    await receive();
    await lists(abroad.ca);
    await wallet.tend();
    await lists(await authority(abroad.ca.name));
  }],
])("a list %s is not believed: the card says that nothing was heard, and fresh copies are fetched all the same", async (_what, change) => {
  await change();
  const meant = await wallet.understand(abroad.link());
  if ("presentation" in meant) await wallet.present(meant.presentation, PIN); // the only copy is gone
  const [before, heard] = [batches(), wallet.orders[0]!.standingHeard];
  now += 3_600_000;
  abroad.standing = 1;
  await wallet.tend();
  expect(wallet.orders[0]).toMatchObject({ unheard: true, standing: "valid", standingHeard: heard });
  expect(batches()).toBe(before + 1);
  for (const language of ["en", "ko"] as const) {
    speak(language);
    expect(said()).toContain(t("card.unheard", { time: moment(heard) }));
  }
});

test("a card that is heard of again says no longer that it was not", async () => {
  await receive();
  await lists(abroad.ca);
  await wallet.tend();
  const { statusBy } = abroad;
  await lists(abroad.ca);
  await wallet.tend();
  expect(wallet.orders[0]?.unheard).toBe(true);
  Object.assign(abroad, { statusBy });
  now += 60_000;
  await wallet.tend();
  expect(wallet.orders[0]).toMatchObject({ unheard: false, standingHeard: now });
  expect(said()).not.toContain(t("card.unheard", { time: moment(now) }));
});
