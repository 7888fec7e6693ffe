package event

import "math"

// The instants that a record may have: the years 1 to 9999, as RFC 3339 writes them, in Unix milliseconds.
const (
	minMillis = -62_135_596_800_000 // 0001-01-01T00:00:00Z
	maxMillis = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z
)

const (
	badLayout = "not RFC 3339: write 2026-11-22T10:00:00.123Z, or epoch milliseconds as a number"
	noZone    = "the time has no zone: append Z or an offset such as +02:00"
	badField  = "a part of the time is out of range (a leap second is not accepted)"
	badRange  = "the time is outside of the years 1 to 9999"
)

// epochMillis returns the instant of x milliseconds since 1970-01-01T00:00:00Z, a fraction cut off towards the past as
// the digits of an RFC 3339 fraction are, and why it is none.
func epochMillis(x float64) (ms int64, bad string) {
	x = math.Floor(x)
	if !(x >= minMillis && x <= maxMillis) {
		return 0, badRange
	}
	return int64(x), ""
}

// parseRFC3339 returns the instant of an RFC 3339 date-time (section 5.6, with a zone; T and Z in either case), cut off
// to milliseconds, and why it is none. It takes what time.Parse(time.RFC3339Nano, …) takes and the grammar allows.
func parseRFC3339(b []byte) (ms int64, bad string) {
	const layout = "2006-01-02T15:04:05"
	if len(b) < len(layout) || b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' || b[13] != ':' || b[16] != ':' {
		return 0, badLayout
	}
	century, year := twoDigits(b, 0), twoDigits(b, 2)
	month, day := twoDigits(b, 5), twoDigits(b, 8)
	hour, minute, second := twoDigits(b, 11), twoDigits(b, 14), twoDigits(b, 17)
	if century|year|month|day|hour|minute|second < 0 {
		return 0, badLayout
	}
	year += 100 * century
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, badField
	}
	i, fraction := len(layout), 0
	if i < len(b) && b[i] == '.' {
		i++
		from := i
		for scale := 100; i < len(b) && b[i]-'0' <= 9; i++ {
			fraction += int(b[i]-'0') * scale
			scale /= 10
		}
		if i == from {
			return 0, badLayout
		}
	}
	offset, bad := zoneMinutes(b[i:])
	if bad != "" {
		return 0, bad
	}
	minutes := (daysSinceEpoch(year, month, day)*24+int64(hour))*60 + int64(minute) - int64(offset)
	ms = (minutes*60+int64(second))*1000 + int64(fraction)
	if ms < minMillis || ms > maxMillis {
		return 0, badRange
	}
	return ms, ""
}

// zoneMinutes returns how far the zone b, Z or ±hh:mm, is ahead of UTC.
func zoneMinutes(b []byte) (minutes int, bad string) {
	switch {
	case len(b) == 0:
		return 0, noZone
	case len(b) == 1 && b[0]|0x20 == 'z':
		return 0, ""
	case len(b) != 6 || b[0] != '+' && b[0] != '-' || b[3] != ':':
		return 0, badLayout
	}
	h, m := twoDigits(b, 1), twoDigits(b, 4)
	if h|m < 0 {
		return 0, badLayout
	}
	if h > 23 || m > 59 {
		return 0, badField
	}
	if minutes = h*60 + m; b[0] == '-' {
		minutes = -minutes
	}
	return minutes, ""
}

// twoDigits returns the number of the two decimal digits at i, or -1.
func twoDigits(b []byte, i int) int {
	tens, ones := b[i]-'0', b[i+1]-'0'
	if tens > 9 || ones > 9 {
		return -1
	}
	return int(tens)*10 + int(ones)
}

// daysIn returns the number of days of a month of the Gregorian calendar.
func daysIn(year, month int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// daysSinceEpoch returns the days from 1970-01-01 to a date of the years 0 to 9999. The year starts in March, so that the
// leap day is its last one (H. Hinnant, chrono-Compatible Low-Level Date Algorithms, days_from_civil).
func daysSinceEpoch(year, month, day int) int64 {
	const daysPerEra, epochDay = 146_097, 719_468 // of 400 years; of 1970-01-01 since 0000-03-01
	year += 400                                   // keeps January and February of the year 0 from going below zero
	if month <= 2 {
		year--
	}
	era, yearOfEra := year/400, year%400
	dayOfYear := (153*((month+9)%12)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return int64((era-1)*daysPerEra + dayOfEra - epochDay)
}
