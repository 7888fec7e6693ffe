package event

import (
	"math"
	"strconv"
)

// Class says where a value is counted: in the distribution, or in one of the disjoint cells beside it.
type Class uint8

// The classes of a value.
const (
	ClassValue   Class = iota + 1 // it has a place in the distribution
	ClassMissing                  // null, and NaN for a numeric feature
	ClassInf                      // an infinity, for a numeric feature
	ClassInvalid                  // of a type that the feature does not take
)

// String returns the name of the cell that counts the class.
func (c Class) String() string {
	switch c {
	case ClassValue:
		return "value"
	case ClassMissing:
		return "missing"
	case ClassInf:
		return "inf"
	case ClassInvalid:
		return "invalid"
	}
	return "Class(" + strconv.Itoa(int(c)) + ")"
}

// Float returns v as the value of a numeric feature: a number is itself, a boolean 0 or 1, null is missing. A string is
// invalid, but for the spellings of NaN (missing) and the infinities (inf) that libraries write because JSON has no
// literal for them: nan, inf and infinity in any case, with or without a sign. Such a string is the only one that is not
// invalid, and the only way to ClassInf. x is NaN where the value is missing and 0 where it is invalid.
func (v Value) Float() (x float64, class Class) {
	switch v.Kind {
	case ValueNumber, ValueBool:
		return v.Num, ClassValue
	case ValueNull:
		return math.NaN(), ClassMissing
	case ValueString:
		x, n := nonFinite(v.Str)
		switch {
		case n == 0 || n != len(v.Str):
			return 0, ClassInvalid
		case math.IsNaN(x):
			return x, ClassMissing
		}
		return x, ClassInf
	case ValueInvalid:
	}
	return 0, ClassInvalid
}

// AppendCategory appends v as the value of a categorical feature: a string byte for byte, a boolean as `true` or `false`,
// a number in its shortest decimal form. That form is the one of ECMAScript's Number::toString, which most JSON writers
// share: the fewest digits that give the float64 again, plain from 1e-6 to below 1e21, else with an exponent (`1e-7`,
// `1e+21`). So 1.0, 1e0 and 1 are one category, and integers beyond 2^53 that round to one float64 are too. Nothing is
// appended unless the class is ClassValue.
func (v Value) AppendCategory(dst []byte) ([]byte, Class) {
	switch v.Kind {
	case ValueString:
		return append(dst, v.Str...), ClassValue
	case ValueBool:
		return strconv.AppendBool(dst, v.Num != 0), ClassValue
	case ValueNumber:
		if shortest(v.Str) {
			return append(dst, v.Str...), ClassValue
		}
		return AppendShortest(dst, v.Num), ClassValue
	case ValueNull:
		return dst, ClassMissing
	case ValueInvalid:
	}
	return dst, ClassInvalid
}

// AppendShortest appends a finite x in the form that AppendCategory gives numbers; -0 is 0.
func AppendShortest(dst []byte, x float64) []byte {
	if x == 0 {
		return append(dst, '0')
	}
	if a := math.Abs(x); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'e', -1, 64)
	// strconv writes at least two digits of the exponent: e-07 becomes e-7.
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// shortest reports whether the JSON number s is certainly in its shortest form already: without an exponent, of at most
// 15 digits (any two such decimals are two float64s, so none has a shorter spelling), without a zero at the end of its
// fraction, not -0 and not below 1e-6. False means only that somebody has to look.
func shortest(s []byte) bool {
	digits, point, leading := 0, -1, 0
	for i, c := range s {
		switch {
		case c-'0' <= 9:
			if digits++; c != '0' && leading == 0 {
				leading = digits
			}
		case c == '.':
			point = i
		case c == '-' && i == 0:
		default:
			return false
		}
	}
	if digits == 0 || digits > 15 || s[0] == '-' && leading == 0 {
		return false
	}
	if point < 0 {
		return true
	}
	// The first digit that counts must be among the first six of the fraction, behind the one or more before the point.
	return s[len(s)-1] != '0' && leading > 0 && leading <= 7
}
