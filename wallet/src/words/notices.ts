/** The words of notices, apart from the others: the service worker says them too and should stay small. */
export const noticesKo = {
  "notice.ends": "카드의 유효기간이 다가옵니다",
  "notice.ends.lead": "{date}에 끝납니다. 끝나기 전에 창구에서 다시 받을 수 있습니다.",
  "notice.ended": "카드의 유효기간이 지났습니다",
  "notice.ended.lead": "이 카드는 더 쓸 수 없습니다. 창구에서 다시 받아 주세요.",
  "notice.no_copies": "보여 줄 일회용 사본이 없습니다",
  "notice.no_copies.lead": "인터넷에 연결하고 지갑을 열면 새 사본을 받습니다.",
  "notice.locked": "카드가 정지되었습니다",
  "notice.locked.lead": "신분증을 가지고 창구에 방문하면 풀 수 있습니다.",
  "notice.revoked": "카드를 더 쓸 수 없습니다",
  "notice.revoked.lead": "발급기관이 이 카드를 끝냈습니다. 자세한 내용은 창구에 문의해 주세요.",
  "notice.erased": "이 휴대전화의 카드를 지웠습니다",
  "notice.erased.lead": "분실 신고되었거나 등록이 끝난 휴대전화입니다. 지갑을 열어 확인해 주세요.",
} as const;

export const noticesEn: Record<keyof typeof noticesKo, string> = {
  "notice.ends": "A card is about to end",
  "notice.ends.lead": "It ends on {date}. Before then you can get a new one at the counter.",
  "notice.ended": "A card has ended",
  "notice.ended.lead": "This card can no longer be used. Please get a new one at the counter.",
  "notice.no_copies": "No one-time copy is left to show",
  "notice.no_copies.lead": "Connect to the internet and open the wallet to fetch new ones.",
  "notice.locked": "A card has been locked",
  "notice.locked.lead": "It can be released at the counter. Please bring your identity card.",
  "notice.revoked": "A card can no longer be used",
  "notice.revoked.lead": "The issuer has ended this card. Please ask at the counter.",
  "notice.erased": "The cards on this phone were erased",
  "notice.erased.lead": "The phone was reported lost or its registration has ended. Open the wallet to see.",
};
