# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Synthetic mail for the demo: the same messages in each run, all our own.

There are four kinds. A filter that knows the first two alone misjudges the
other two, as real filters do: the new spam talks like a colleague, and the new
good mail like the parcel and invoice frauds of old.

    OLD_HAM     colleagues and friends
    OLD_SPAM    fake parcels, invoices and account alarms
    NEW_SPAM    investments, offered in a colleague's tone
    NEW_HAM     a bicycle shop's real orders, invoices and parcels
"""

import random
from email import policy
from email.message import EmailMessage

OLD_HAM, OLD_SPAM, NEW_SPAM, NEW_HAM = range(4)

# What {word} in a text stands for.
WORDS = {
    'name': ('Anna', 'Jonas', 'Miriam', 'Peter', 'Clara', 'Tobias', 'Helen',
             'Martin', 'Sophie', 'Lukas'),
    'day': ('Montag', 'Dienstag', 'Mittwoch', 'Donnerstag', 'Freitag'),
    'weekday': ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday'),
    'hour': ('9', '10', '11', '14', '15', '16'),
    'sum': ('48,90', '129,00', '27,50', '64,95', '210,40'),
    'bike': ('Trekkingrad', 'Rennrad', 'Lastenrad', 'Tourenrad'),
    'part': ('Kette', 'Kassette', 'Bremsscheibe', 'Felge', 'Sattelstütze',
             'Pedale', 'Satteltasche'),
    'bicycle': ('touring bicycle', 'road bicycle', 'cargo bicycle'),
    'piece': ('chain', 'cassette', 'brake disc', 'rim', 'seatpost', 'pedals',
              'saddle bag'),
    'fund': ('Goldzins', 'Nordrendite', 'Alphafonds', 'Sonnenkapital'),
    'percent': ('14', '17', '19', '22', '26'),
}

# Of each kind: senders, and by language subjects and sentences.
KINDS = {
    OLD_HAM: (
        ('{name}@buero.example', '{name}@team.example'),
        (('Protokoll vom {day}', 'Unser Projekt', 'Treffen am {day}',
          'Entwurf zum Durchlesen', 'Mittagessen am {day}?'),
         ('Hallo zusammen, anbei wie besprochen das Protokoll unserer Besprechung.',
          'Können wir den Termin auf {day} um {hour} Uhr verschieben?',
          'Ich habe den Entwurf für unser Projekt überarbeitet, schau bitte kurz drüber.',
          'Das Team trifft sich am {day} im großen Besprechungsraum.',
          'Danke für deine Rückmeldung, die Anmerkungen sind eingearbeitet.',
          '{name} kümmert sich um die Unterlagen, ich melde mich am {day}.',
          'Wollen wir nach der Besprechung zusammen Mittagessen gehen?',
          'Wie besprochen schicke ich dir die Zahlen für das Projekt.',
          'Der Kollege aus der Planung hat noch eine Frage zum Entwurf.',
          'Sag mir bitte kurz Bescheid, ob dir der Termin passt.',
          'Viele Grüße und bis {day}, {name}'),),
        (('Minutes of {weekday}', 'Our project', 'Meeting on {weekday}',
          'Draft for review', 'Lunch on {weekday}?'),
         ('Hi all, as discussed here are the minutes of our meeting.',
          'Could we move the meeting to {weekday} at {hour}?',
          'I have reworked the draft for our project, please have a quick look.',
          'The team meets on {weekday} in the big conference room.',
          'Thanks for your feedback, your comments are in the draft now.',
          '{name} takes care of the documents, I will be in touch on {weekday}.',
          'Shall we have lunch together after the meeting?',
          'As discussed I am sending you the figures for the project.',
          'Our colleague in planning has one more question on the draft.',
          'Let me know briefly whether the date suits you.',
          'Kind regards and see you on {weekday}, {name}'),)),
    OLD_SPAM: (
        ('service@paket-zentrale.example', 'noreply@konto-pruefung.example'),
        (('Ihr Paket wartet', 'Ihre Rechnung ist offen',
          'Letzte Mahnung', 'Ihre Bestellung wurde angehalten'),
         ('Sehr geehrter Kunde, Ihr Paket konnte nicht zugestellt werden.',
          'Die Rechnung Ihrer Bestellung über {sum} Euro ist offen.',
          'Bitte überweisen Sie den Betrag von {sum} Euro sofort.',
          'Bestätigen Sie Ihre Lieferadresse, sonst geht die Sendung zurück.',
          'Ihre Sendung liegt im Lager, der Versand wurde angehalten.',
          'Klicken Sie hier, um die Sendungsnummer Ihrer Lieferung zu prüfen.',
          'Ihr Kundenkonto wird gesperrt, wenn die Zahlung nicht eingeht.',
          'Die Zustellung Ihrer Lieferung kostet eine Gebühr von {sum} Euro.',
          'Ihre Kundennummer und Bestellnummer finden Sie in der Rechnung.',
          'Mit freundlichen Grüßen, Ihr Kundendienst'),),
        (('Your parcel is waiting', 'Your invoice is overdue',
          'Final reminder', 'Your order was stopped'),
         ('Dear customer, your parcel could not be delivered.',
          'The invoice of your order for {sum} Euro is overdue.',
          'Please pay the amount of {sum} Euro immediately.',
          'Confirm your delivery address or the shipment will be returned.',
          'Your shipment is in our warehouse, the dispatch was stopped.',
          'Click here to check the tracking number of your delivery.',
          'Your customer account is locked if the payment does not arrive.',
          'The delivery of your parcel costs a fee of {sum} Euro.',
          'You find your customer number and order number in the invoice.',
          'Yours sincerely, your customer service'),)),
    NEW_SPAM: (
        ('{name}@buero.example', '{name}@team.example'),
        (('Unser Projekt: Rendite', 'Wie besprochen: Festgeld',
          'Treffen am {day}: {fund}', 'Protokoll und Depot'),
         ('Hallo, wie besprochen schicke ich dir die Zahlen für unser Projekt {fund}.',
          'Das Team von {fund} trifft sich am {day} um {hour} Uhr.',
          'Unser Handelsroboter erzielt {percent} Prozent Rendite, garantiert und steuerfrei.',
          'Können wir den Termin für dein Depot auf {day} verschieben?',
          'Die Kollegen in der Besprechung haben ihr Festgeld schon verdoppelt.',
          'Schau bitte kurz über den Entwurf: Kryptowährung ohne Risiko.',
          'Danke für deine Rückmeldung, dein Startguthaben bei {fund} ist reserviert.',
          '{name} aus der Planung hat mit {fund} ein Vermögen verdient.',
          'Sag mir kurz Bescheid, die Geldanlage ist nur bis {day} offen.',
          'Viele Grüße und bis {day}, {name}, Anlageberater'),),
        (('Our project: returns', 'As discussed: deposit',
          'Meeting on {weekday}: {fund}', 'Minutes and portfolio'),
         ('Hi, as discussed I am sending you the figures for our project {fund}.',
          'The {fund} team meets on {weekday} at {hour}.',
          'Our trading robot makes {percent} percent returns, guaranteed and tax free.',
          'Could we move the meeting on your portfolio to {weekday}?',
          'Our colleagues in the conference room have doubled their deposit already.',
          'Please have a quick look at the draft: cryptocurrency without risk.',
          'Thanks for your feedback, your starting credit at {fund} is reserved.',
          '{name} in planning has earned a fortune with {fund}.',
          'Let me know briefly, the investment is open until {weekday} only.',
          'Kind regards and see you on {weekday}, {name}, wealth adviser'),)),
    NEW_HAM: (
        ('service@radladen.example', 'werkstatt@radladen.example'),
        (('Ihre Bestellung: {part}', 'Ihre Rechnung', 'Ihr Paket: {part}',
          'Versand Ihrer Bestellung'),
         ('Sehr geehrter Kunde, Ihr Paket mit {part} wurde zugestellt.',
          'Die Rechnung Ihrer Bestellung über {sum} Euro liegt bei.',
          'Ihre Sendung verlässt das Lager: {part} für Ihr {bike}.',
          'Die Sendungsnummer Ihrer Lieferung finden Sie in der Rechnung.',
          'Ihre Lieferadresse und Kundennummer haben sich nicht geändert.',
          'Bitte überweisen Sie den Betrag von {sum} Euro nach der Lieferung.',
          'Die Zustellung Ihrer Lieferung mit {part} kostet nichts.',
          'Die Werkstatt montiert {part} an Ihrem {bike} bei der Inspektion.',
          'Ihr Kundenkonto zeigt die Bestellnummer der Zahlung.',
          'Mit freundlichen Grüßen, Ihr Kundendienst im Radladen'),),
        (('Your order: {piece}', 'Your invoice', 'Your parcel: {piece}',
          'Dispatch of your order'),
         ('Dear customer, your parcel with the {piece} was delivered.',
          'The invoice of your order for {sum} Euro is enclosed.',
          'Your shipment leaves our warehouse: {piece} for your {bicycle}.',
          'You find the tracking number of your delivery in the invoice.',
          'Your delivery address and customer number have not changed.',
          'Please pay the amount of {sum} Euro after the delivery.',
          'The delivery of your parcel with the {piece} is free of any fee.',
          'Our workshop fits the {piece} to your {bicycle} at the inspection.',
          'Your customer account shows the order number of the payment.',
          'Yours sincerely, your customer service at the bicycle shop'),)),
}


def _fill(rng, text):
    return text.format(**{key: rng.choice(words)
                          for key, words in WORDS.items()})


def _message(rng, kind, ident):
    senders, *languages = KINDS[kind]
    subjects, sentences = rng.choice(languages)
    message = EmailMessage(policy=policy.SMTP)
    message['From'] = _fill(rng, rng.choice(senders)).lower()
    message['To'] = 'user@example.org'
    message['Subject'] = _fill(rng, rng.choice(subjects))
    message['Date'] = (f'Tue, {rng.randrange(1, 29)} Sep 2026 '
                       f'{rng.randrange(8, 18):02}:{rng.randrange(60):02}:00'
                       ' +0200')
    message['Message-ID'] = f'<{ident}.{rng.getrandbits(32):08x}@mail.example>'
    # The first sentence greets, the last one closes.
    middle = rng.sample(sentences[1:-1], rng.randrange(5, 8))
    body = [sentences[0], *middle, sentences[-1]]
    message.set_content('\n'.join(_fill(rng, line) for line in body) + '\n',
                        cte='8bit')
    return message.as_bytes(policy=policy.SMTP).replace(b'\r\n', b'\n')


def messages(kind, count, seed):
    """Messages of a kind. Another seed gives similar ones, not the same."""
    rng = random.Random(f'{kind} {seed}')
    return [_message(rng, kind, f'{seed}.{kind}.{i}') for i in range(count)]


def subject(message):
    """The subject line, as ASCII can show it."""
    for line in message.split(b'\n'):
        if line.lower().startswith(b'subject: '):
            return line[9:].decode('utf-8', 'replace')
    return ''
