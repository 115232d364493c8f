/** What the wallet says while it shows a code to be asked by. */
import { learn } from "../words.ts";

export const meetKo = {
  "meet.title": "코드 보여 주기",
  "meet.lead": "이 코드를 상대방의 카메라에 보여 주세요. 누가 무엇을 묻는지 먼저 보여 드리고, 결정은 직접 하십니다.",
  "meet.making": "코드를 만드는 중입니다",
  "meet.read": "상대방이 코드를 읽었습니다",
  "meet.spoken": "코드가 나타났습니다. 2분 동안 한 번 쓸 수 있습니다.",
  "meet.over": "코드의 시간이 지났습니다",
  "meet.over.lead": "코드는 2분 동안 한 번만 쓸 수 있습니다. 새 코드를 만들어 주세요.",
  "meet.again": "새 코드 만들기",
  "meet.no_network": "매장에 인터넷이 없나요?",
  "meet.offline": "인터넷이 되지 않아, 인터넷 없이 쓰는 코드로 바꾸었습니다.",
} as const;

export const meetEn: Record<keyof typeof meetKo, string> = {
  "meet.title": "Show a code",
  "meet.lead": "Hold this code to their camera. You will see first who asks for what, and you decide.",
  "meet.making": "Making the code",
  "meet.read": "They have read the code",
  "meet.spoken": "The code is on the screen. It is good once, for two minutes.",
  "meet.over": "The code is over",
  "meet.over.lead": "A code is good once, for two minutes. Make a new one.",
  "meet.again": "Make a new code",
  "meet.no_network": "The shop has no network?",
  "meet.offline": "No answer from the network, so here is the code that needs none.",
};

learn({ ko: meetKo, en: meetEn });
