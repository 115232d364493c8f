/** What a push says on a locked screen: nobody's name, and not what is asked. */
export const pushNotice = {
  ko: { "push.notice": "신원 확인 요청이 왔습니다", "push.notice.lead": "지갑을 열면 누가 무엇을 묻는지 보입니다." },
  en: { "push.notice": "Somebody asks for your card", "push.notice.lead": "Open the wallet to see who, and what." },
} as const;
