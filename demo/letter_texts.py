"""What do the people of the demonstration write to each other, in nine languages?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's words for a conversation about a job. `{job}`, `{name}`, `{recruiter}`, `{day}` are filled in.

    Attributes:
        attribution: the line above quoted text, with `{when}` and `{who}`.
        header_labels: From, Sent, To and Subject, as Outlook names them above a quotation.
        legacy_charset: what an older mail program of that language would use; None where it uses UTF-8.
    """

    subject: str
    greeting: str
    closing: str
    application: tuple[str, ...]
    receipt: tuple[str, ...]
    invitation: tuple[str, ...]
    acceptance: tuple[str, ...]
    recruiter_lines: tuple[str, ...]
    candidate_lines: tuple[str, ...]
    away_subject: str
    away: str
    attribution: str
    header_labels: tuple[str, str, str, str]
    legacy_charset: str | None = None


PHRASES: dict[str, Phrases] = {
    "en": Phrases(
        subject="Application: {job}",
        greeting="Hello {name},",
        closing="Best wishes,",
        application=(
            (
                "I would like to apply for the position of {job}. For the past six years I have worked in small teams"
                " that build and run their own services, and your description of the work made me curious."
            ),
            "My CV is attached. I could start two months after an offer, and gladly answer any question.",
        ),
        receipt=(
            "thank you for your application for {job}. It has arrived safely and we are reading it this week.",
            "You will hear from us by {day} at the latest.",
        ),
        invitation=(
            "we enjoyed reading your application and would like to get to know you. Would {day} suit you?",
            "The conversation takes about an hour. The invitation with the link is attached.",
        ),
        acceptance=("{day} suits me very well, and I have put it in my calendar. I look forward to it!",),
        recruiter_lines=(
            "Thank you for the good conversation yesterday. The team would like to take the next step.",
            "Could you tell us your notice period and what you expect as a salary?",
            "We still need one reference from a former employer. A name and a telephone number are enough.",
            "There is a small delay on our side because a colleague is on leave. Please bear with us until {day}.",
            "Attached you will find the outline of the contract. Please look through it at your leisure.",
        ),
        candidate_lines=(
            "Thank you for the quick answer. My notice period is six weeks to the end of a month.",
            "Is it possible to work from home two days a week? We live a little outside the town.",
            "I have found the certificate you asked for; you will have it by {day}.",
            "May I ask how large the team is at the moment, and who I would report to?",
            "I spoke with my family at the weekend, and we are very much in favour of the move.",
            "One small correction: my telephone number on the CV is the old one. The new one is below.",
        ),
        away_subject="Out of office: {subject}",
        away="I am out of the office until {day} and read my mail irregularly. I will answer when I am back.",
        attribution="On {when} {who} wrote:",
        header_labels=("From", "Sent", "To", "Subject"),
    ),
    "de": Phrases(
        subject="Bewerbung als {job}",
        greeting="Guten Tag {name},",
        closing="Mit freundlichen Grüßen",
        application=(
            (
                "hiermit bewerbe ich mich um die Stelle als {job}. Seit sechs Jahren arbeite ich in kleinen Teams, die"
                " ihre Dienste selbst bauen und betreiben; Ihre Beschreibung hat mich neugierig gemacht."
            ),
            "Meinen Lebenslauf finden Sie im Anhang. Über eine Einladung zum Gespräch würde ich mich sehr freuen.",
        ),
        receipt=(
            "vielen Dank für Ihre Bewerbung als {job}. Sie ist gut angekommen, wir lesen sie in dieser Woche.",
            "Spätestens am {day} melden wir uns bei Ihnen.",
        ),
        invitation=(
            "Ihre Unterlagen haben uns gefallen, und wir möchten Sie gern kennenlernen. Passt Ihnen der {day}?",
            "Das Gespräch dauert etwa eine Stunde. Die Einladung mit dem Link liegt bei.",
        ),
        acceptance=("der {day} passt mir sehr gut, ich habe ihn eingetragen. Ich freue mich auf das Gespräch!",),
        recruiter_lines=(
            "danke für das gute Gespräch gestern. Das Team möchte gern den nächsten Schritt gehen.",
            "können Sie uns noch Ihre Kündigungsfrist und Ihre Gehaltsvorstellung nennen?",
            "auf unserer Seite dauert es leider etwas länger, weil eine Kollegin im Urlaub ist.",
            "anbei finden Sie den Entwurf des Vertrags. Schauen Sie ihn bitte in Ruhe durch.",
        ),
        candidate_lines=(
            "vielen Dank für die schnelle Antwort. Meine Kündigungsfrist beträgt sechs Wochen zum Monatsende.",
            "wäre es möglich, zwei Tage in der Woche von zu Hause zu arbeiten? Wir wohnen etwas außerhalb.",
            "das gewünschte Zeugnis habe ich gefunden, Sie erhalten es bis zum {day}.",
            "darf ich fragen, wie groß das Team zurzeit ist und an wen ich berichten würde?",
        ),
        away_subject="Abwesenheit: {subject}",
        away="ich bin bis zum {day} nicht im Büro und lese meine E-Mails nur unregelmäßig.",
        attribution="Am {when} schrieb {who}:",
        header_labels=("Von", "Gesendet", "An", "Betreff"),
        legacy_charset="iso-8859-1",
    ),
    "fr": Phrases(
        subject="Candidature : {job}",
        greeting="Bonjour {name},",
        closing="Bien cordialement,",
        application=(
            (
                "Je vous adresse ma candidature au poste de {job}. Depuis six ans, je travaille dans de petites équipes"
                " qui développent et exploitent leurs propres services, et votre annonce m'a beaucoup intéressée."
            ),
            "Vous trouverez mon CV en pièce jointe. Je reste à votre disposition pour un entretien.",
        ),
        receipt=(
            "Merci pour votre candidature au poste de {job}. Nous l'avons bien reçue et nous la lirons cette semaine.",
            "Vous aurez de nos nouvelles au plus tard le {day}.",
        ),
        invitation=(
            "Votre dossier nous a plu et nous aimerions vous rencontrer. Êtes-vous disponible le {day} ?",
            "L'entretien dure environ une heure. L'invitation avec le lien est jointe.",
        ),
        acceptance=("Le {day} me convient très bien, c'est noté. Je me réjouis de cet échange !",),
        recruiter_lines=(
            "Merci pour l'entretien d'hier. L'équipe souhaite passer à l'étape suivante.",
            "Pourriez-vous nous indiquer la durée de votre préavis et vos prétentions salariales ?",
            "Nous avons pris un peu de retard, une collègue étant en congé. Merci de votre patience.",
        ),
        candidate_lines=(
            "Merci pour votre réponse rapide. Mon préavis est de deux mois.",
            "Serait-il possible de travailler à domicile deux jours par semaine ? Nous habitons hors de la ville.",
            "J'ai retrouvé le certificat demandé ; vous le recevrez avant le {day}.",
            "Puis-je vous demander quelle est la taille de l'équipe aujourd'hui ?",
        ),
        away_subject="Absence : {subject}",
        away="Je suis absente jusqu'au {day} et je consulte mes messages de façon irrégulière.",
        attribution="Le {when}, {who} a écrit :",
        header_labels=("De", "Envoyé", "À", "Objet"),
        legacy_charset="iso-8859-15",
    ),
    "es": Phrases(
        subject="Candidatura: {job}",
        greeting="Hola, {name}:",
        closing="Un cordial saludo,",
        application=(
            (
                "Me gustaría presentar mi candidatura al puesto de {job}. Llevo seis años en equipos pequeños que crean"
                " y mantienen sus propios servicios, y su anuncio me llamó la atención."
            ),
            "Adjunto mi currículum. ¿Sería posible hablar por teléfono la próxima semana?",
        ),
        receipt=(
            "Muchas gracias por tu candidatura al puesto de {job}. Ha llegado bien y la leeremos esta semana.",
            "Tendrás noticias nuestras el {day} a más tardar.",
        ),
        invitation=(
            "Nos ha gustado mucho tu candidatura y queremos conocerte. ¿Te viene bien el {day}?",
            "La conversación dura una hora, más o menos. Adjuntamos la invitación con el enlace.",
        ),
        acceptance=("El {day} me viene muy bien, ya está en mi calendario. ¡Hasta entonces!",),
        recruiter_lines=(
            "Gracias por la conversación de ayer. Al equipo le gustaría dar el siguiente paso.",
            "¿Nos puedes indicar tu plazo de preaviso y tus expectativas salariales?",
            "Vamos con un poco de retraso porque una compañera está de vacaciones.",
        ),
        candidate_lines=(
            "Gracias por la rápida respuesta. Mi preaviso es de un mes.",
            "¿Sería posible teletrabajar dos días a la semana? Vivimos a las afueras.",
            "He encontrado el certificado; lo tendrán antes del {day}.",
            "¿Cuántas personas forman el equipo en este momento?",
        ),
        away_subject="Fuera de la oficina: {subject}",
        away="Estaré fuera de la oficina hasta el {day}. Responderé a mi vuelta.",
        attribution="El {when}, {who} escribió:",
        header_labels=("De", "Enviado", "Para", "Asunto"),
    ),
    "it": Phrases(
        subject="Candidatura: {job}",
        greeting="Buongiorno {name},",
        closing="Cordiali saluti,",
        application=(
            (
                "vorrei candidarmi per la posizione di {job}. Da sei anni lavoro in piccoli gruppi che sviluppano e"
                " gestiscono i propri servizi, e il vostro annuncio mi ha incuriosito."
            ),
            "In allegato trova il mio curriculum. Perché no, potremmo sentirci anche per telefono.",
        ),
        receipt=("grazie per la sua candidatura come {job}. È arrivata e la leggeremo in settimana.",),
        invitation=(
            "la sua candidatura ci è piaciuta e vorremmo conoscerla. Le andrebbe bene il {day}?",
            "Il colloquio dura circa un'ora. In allegato trova l'invito con il collegamento.",
        ),
        acceptance=("il {day} va benissimo, l'ho già segnato. A presto!",),
        recruiter_lines=(
            "grazie per il colloquio di ieri. Il gruppo vorrebbe fare il passo successivo.",
            "potrebbe indicarci il suo preavviso e le sue aspettative economiche?",
        ),
        candidate_lines=(
            "grazie per la risposta così rapida. Il mio preavviso è di quarantacinque giorni.",
            "sarebbe possibile lavorare da casa due giorni alla settimana?",
            "ho trovato il certificato richiesto; lo riceverà entro il {day}.",
        ),
        away_subject="Fuori ufficio: {subject}",
        away="sono fuori ufficio fino al {day} e leggo la posta saltuariamente.",
        attribution="Il giorno {when} {who} ha scritto:",
        header_labels=("Da", "Inviato", "A", "Oggetto"),
    ),
    "pl": Phrases(
        subject="Aplikacja na stanowisko: {job}",
        greeting="Dzień dobry {name},",
        closing="Z poważaniem",
        application=(
            (
                "chciałabym zgłosić swoją kandydaturę na stanowisko {job}. Od sześciu lat pracuję w małych zespołach,"
                " które same tworzą i utrzymują swoje usługi."
            ),
            "W załączeniu przesyłam CV. Chętnie odpowiem na wszystkie pytania.",
        ),
        receipt=("dziękujemy za zgłoszenie na stanowisko {job}. Dotarło do nas i przeczytamy je w tym tygodniu.",),
        invitation=(
            "Pani zgłoszenie bardzo nam się spodobało i chcielibyśmy porozmawiać. Czy {day} będzie odpowiedni?",
            "Rozmowa trwa około godziny. Zaproszenie z linkiem jest w załączniku.",
        ),
        acceptance=("{day} bardzo mi odpowiada. Do usłyszenia!",),
        recruiter_lines=(
            "dziękujemy za wczorajszą rozmowę. Zespół chciałby przejść do następnego etapu.",
            "czy mogłaby Pani podać okres wypowiedzenia i oczekiwania finansowe?",
        ),
        candidate_lines=(
            "dziękuję za szybką odpowiedź. Mój okres wypowiedzenia to jeden miesiąc.",
            "czy możliwa jest praca z domu przez dwa dni w tygodniu?",
            "znalazłam potrzebne zaświadczenie, prześlę je do {day}.",
        ),
        away_subject="Nieobecność: {subject}",
        away="jestem nieobecna do {day}. Odpowiem po powrocie.",
        attribution="W dniu {when} {who} pisze:",
        header_labels=("Od", "Wysłano", "Do", "Temat"),
        legacy_charset="iso-8859-2",
    ),
    "nl": Phrases(
        subject="Sollicitatie: {job}",
        greeting="Beste {name},",
        closing="Met vriendelijke groet,",
        application=(
            (
                "Graag solliciteer ik naar de functie van {job}. Ik werk al zes jaar in kleine teams die hun"
                " eigen diensten bouwen en beheren."
            ),
            "Mijn cv vindt u in de bijlage. Ik licht het graag toe in een gesprek.",
        ),
        receipt=("Hartelijk dank voor je sollicitatie als {job}. We lezen hem deze week.",),
        invitation=("We maken graag kennis met je. Komt {day} je uit? De uitnodiging met de link is bijgevoegd.",),
        acceptance=("{day} komt mij goed uit, ik heb het in mijn agenda gezet. Tot dan!",),
        recruiter_lines=(
            "Dank voor het prettige gesprek van gisteren. Het team zet graag de volgende stap.",
            "Kun je ons je opzegtermijn en je salariswens laten weten?",
        ),
        candidate_lines=(
            "Dank voor het snelle antwoord. Mijn opzegtermijn is één maand.",
            "Is het mogelijk om twee dagen per week thuis te werken?",
            "Ik stuur het getuigschrift uiterlijk {day}.",
        ),
        away_subject="Afwezig: {subject}",
        away="Ik ben afwezig tot {day} en lees mijn e-mail onregelmatig.",
        attribution="Op {when} schreef {who}:",
        header_labels=("Van", "Verzonden", "Aan", "Onderwerp"),
    ),
    "ja": Phrases(
        subject="応募の件:{job}",
        greeting="{name} 様",
        closing="どうぞよろしくお願いいたします。",
        application=(
            "はじめてご連絡いたします。{job} の募集を拝見し、応募させていただきたくメールをお送りしました。",
            "六年間、小さなチームでサービスの開発と運用に携わってまいりました。履歴書を添付いたします。",
        ),
        receipt=("このたびは {job} にご応募いただき、ありがとうございます。今週中に拝見いたします。",),
        invitation=(
            "書類を拝見し、ぜひ一度お話を伺いたく存じます。{day} のご都合はいかがでしょうか。",
            "面接は一時間ほどの予定です。招待状を添付いたしますので、ご確認ください。",
        ),
        acceptance=("ご連絡ありがとうございます。{day} で問題ございません。楽しみにしております。",),
        recruiter_lines=(
            "昨日はお時間をいただき、ありがとうございました。次の段階に進んでいただきたいと考えております。",
            "入社可能な時期と、ご希望の給与をお知らせいただけますでしょうか。",
        ),
        candidate_lines=(
            "早速のお返事ありがとうございます。入社は二か月後から可能です。",
            "週に二日ほど在宅で勤務することは可能でしょうか。",
            "ご依頼の書類は {day} までにお送りいたします。",
        ),
        away_subject="不在のお知らせ:{subject}",
        away="{day} まで不在にしております。戻り次第ご返信いたします。",
        attribution="{when} {who}:",
        header_labels=("差出人", "送信日時", "宛先", "件名"),
        legacy_charset="iso-2022-jp",
    ),
    "ar": Phrases(
        subject="طلب توظيف: {job}",
        greeting="مرحباً {name}،",
        closing="مع أطيب التحيات،",
        application=(
            "أود التقدم لوظيفة {job}. أعمل منذ ست سنوات في فرق صغيرة تبني خدماتها وتشغلها بنفسها.",
            "تجدون سيرتي الذاتية في المرفقات، ويسعدني أن أجيب عن أي سؤال.",
        ),
        receipt=("شكراً لتقدمكم لوظيفة {job}. وصلنا طلبكم وسنقرؤه هذا الأسبوع.",),
        invitation=("أعجبنا طلبكم ونود أن نتعرف إليكم. هل يناسبكم يوم {day}؟ تجدون الدعوة والرابط في المرفقات.",),
        acceptance=("يوم {day} مناسب جداً لي. إلى اللقاء!",),
        recruiter_lines=(
            "شكراً على حديث الأمس. يود الفريق الانتقال إلى الخطوة التالية.",
            "هل يمكنكم إخبارنا بموعد بدء العمل الممكن وبالراتب المتوقع؟",
        ),
        candidate_lines=(
            "شكراً على الرد السريع. يمكنني البدء بعد شهرين.",
            "هل يمكن العمل من المنزل يومين في الأسبوع؟",
            "سأرسل الشهادة المطلوبة قبل {day}.",
        ),
        away_subject="خارج المكتب: {subject}",
        away="أنا خارج المكتب حتى {day}، وسأرد عند عودتي.",
        attribution="في {when} كتب {who}:",
        header_labels=("من", "تاريخ الإرسال", "إلى", "الموضوع"),
        legacy_charset="windows-1256",
    ),
}

JOBS = (
    "Backend Engineer",
    "Product Designer",
    "Data Analyst",
    "Site Reliability Engineer",
    "Office Coordinator",
    "Technical Writer",
    "Customer Support Lead",
    "Finance Officer",
)
