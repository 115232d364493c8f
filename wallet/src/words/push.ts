/** What the wallet says of requests that were pushed to it by name. The service worker has no other words. */
import { learn } from "../words.ts";
import { pushNotice } from "./push_notice.ts";

export const pushKo = {
  "push.title": "{party}에서 묻습니다",
  "push.lead": "내 이름과 전화번호로 보낸 요청입니다({purpose}). 지금 직접 시작한 일이 아니면 열지 마세요.",
  "push.open": "무엇을 묻는지 보기",
  "push.not_now": "지금은 아니요",
  "push.never": "이곳의 요청 받지 않기",
  "push.heard": "요청이 왔습니다",
  "push.unknown": "목록에 없는 곳",
  "push.until": "{time}까지",
  "settings.push": "이름으로 오는 요청",
  "settings.push.lead": "등록된 기관이 내 이름, 생년월일, 전화번호로 요청을 보낼 수 있습니다. 요청하는 쪽은 내가 답하기 전에는 아무것도 알 수 없습니다.",
  "settings.push.woken": "요청이 오면 이 휴대전화를 깨웁니다. 깨우는 신호에는 내용이 없습니다.",
  "settings.push.open": "이 브라우저는 깨울 수 없어서, 지갑이 열려 있을 때 확인합니다.",
  "settings.push.none": "받지 않기",
  "settings.push.again": "다시 받기",
  "settings.push.is_none": "이름으로 오는 요청을 받지 않습니다",
  "settings.push.is_again": "이름으로 오는 요청을 받습니다",
  "settings.push.muted": "{party}: 받지 않음",
  "problem.push_missed": "이름으로 요청이 왔지만 답하지 않았습니다.",
  "problem.push_muted": "받지 않기로 한 곳에서 이름으로 요청을 보냈습니다. 아무것도 알려 주지 않았습니다.",
} as const;

export const pushEn: Record<keyof typeof pushKo, string> = {
  "push.title": "{party} asks you",
  "push.lead": "Sent to your name and phone number ({purpose}). If you did not start this yourself just now, do not open it.",
  "push.open": "See what they ask",
  "push.not_now": "Not now",
  "push.never": "No more from them",
  "push.heard": "Somebody asks you",
  "push.unknown": "Somebody on no list",
  "push.until": "until {time}",
  "settings.push": "Requests by name",
  "settings.push.lead": "Registered organisations may send a request to your name, birthday and phone number. They learn nothing before you answer.",
  "settings.push.woken": "A request wakes this phone. The signal that wakes it says nothing.",
  "settings.push.open": "This browser cannot be woken, so the wallet looks while it is open.",
  "settings.push.none": "Take none",
  "settings.push.again": "Take again",
  "settings.push.is_none": "Requests by name are not taken",
  "settings.push.is_again": "Requests by name are taken",
  "settings.push.muted": "{party}: not taken",
  "problem.push_missed": "They asked you by name, and you did not answer.",
  "problem.push_muted": "Somebody you take no requests from asked you by name. They were told nothing.",
};

learn({ ko: { ...pushKo, ...pushNotice.ko }, en: { ...pushEn, ...pushNotice.en } });
