package quality

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// score is one figure of one class: its value, which is 0 where it is 0/0, with its interval.
type score struct {
	value    float64
	interval stat.Interval
}

// classScores are the figures of one class that occurs among labels or predictions.
type classScores struct {
	name                  string
	support               uint64 // labels
	tally                 tally
	precision, recall, f1 score
}

func (c *Counts) evaluateMulticlass() []result.Metric {
	n := stat.Total(c.confusion)
	classes := c.classScores(n)
	out := make([]result.Metric, 0, 16+5*len(classes))
	out = append(out, c.accuracy(n), c.balanced(n, classes), c.matthews())
	out = append(out, averages(n, classes, c.right())...)
	rocs, precisions := make([]result.Metric, 0, len(c.sets)), make([]result.Metric, 0, len(c.sets))
	for i := range c.sets {
		groups := c.sets[i].groups()
		class := c.spec.classes[i]
		rocs, precisions = append(rocs, c.rocAUC(class, groups)), append(precisions, c.averagePrecision(class, groups))
	}
	none := c.noScores()
	if c.scored > 0 {
		none = "no class has it"
	}
	out = append(out, macro("macro_roc_auc", c.scored, rocs, none), macro("macro_average_precision", c.scored, precisions, none))
	out = append(out, c.losslike()...)
	for _, k := range classes {
		t := k.tally
		f1 := null("f1", k.name, 0, reasonNoRows)
		if v, i, ok := t.f1(); ok {
			f1 = metric("f1", k.name, t.tp+t.fp+t.fn, v, i, unit())
		}
		out = append(out,
			rate("precision", k.name, t.tp, t.tp+t.fp, reasonNoPredicted),
			rate("recall", k.name, t.tp, t.tp+t.fn, reasonNoPositives),
			f1)
	}
	return append(append(out, rocs...), precisions...)
}

// right is the number of rows on the diagonal. `other` for `other` counts as right: it is one class.
func (c *Counts) right() uint64 {
	var right uint64
	for i := range c.width() {
		right += c.confusion[i*c.width()+i]
	}
	return right
}

// accuracy is enclosed where classes that are not tracked meet: whether they are the same class is not known.
func (c *Counts) accuracy(n uint64) result.Metric {
	m := rate("accuracy", "", c.right(), n, reasonNoRows)
	doubtful := c.confusion[len(c.confusion)-1]
	if doubtful == 0 {
		return m
	}
	all, right := float64(n), c.right()
	e := stat.Enclosed{Value: *m.Value, Least: float64(right-doubtful) / all, Most: *m.Value}
	return enclosed("accuracy", "", n, e, wilson(right, n), unit())
}

// balanced is the mean recall of the classes that labels are of.
func (c *Counts) balanced(n uint64, classes []classScores) result.Metric {
	var ks, ns []uint64
	for _, k := range classes {
		if k.support > 0 {
			ks, ns = append(ks, k.tally.tp), append(ns, k.support)
		}
	}
	if n == 0 {
		return null("balanced_accuracy", "", 0, reasonNoRows)
	}
	return meanRate("balanced_accuracy", n, ks, ns)
}

// classScores returns the classes that labels or predictions are of, in order, `other` last.
func (c *Counts) classScores(n uint64) []classScores {
	var out []classScores
	k := c.width()
	for i := range k {
		var labels, predictions uint64
		for j := range k {
			labels += c.confusion[i*k+j]
			predictions += c.confusion[j*k+i]
		}
		if labels == 0 && predictions == 0 {
			continue
		}
		tp := c.confusion[i*k+i]
		t := tally{tp: tp, fp: predictions - tp, fn: labels - tp, tn: n - labels - predictions + tp}
		s := classScores{name: Other, support: labels, tally: t, precision: ratio(tp, predictions), recall: ratio(tp, labels), f1: score{}}
		if i < len(c.spec.classes) {
			s.name = c.spec.classes[i]
		}
		s.f1.value, s.f1.interval, _ = t.f1()
		out = append(out, s)
	}
	return out
}

// ratio is k of n with Wilson's interval: 0 of 0 is 0, and may be anything.
func ratio(k, n uint64) score {
	s := score{interval: wilson(k, n)}
	if n > 0 {
		s.value = float64(k) / float64(n)
	}
	return s
}

// averages are the macro, micro and weighted averages of precision, recall and F1 over the classes. Micro averages are all the accuracy,
// since each row has one class. The intervals of the others take the classes' errors as going together: never too narrow.
func averages(n uint64, classes []classScores, right uint64) []result.Metric {
	figures := []struct {
		name string
		of   func(classScores) score
	}{
		{"precision", func(k classScores) score { return k.precision }},
		{"recall", func(k classScores) score { return k.recall }},
		{"f1", func(k classScores) score { return k.f1 }},
	}
	var out []result.Metric
	for _, f := range figures {
		if n == 0 {
			for _, average := range []string{"macro_", "micro_", "weighted_"} {
				out = append(out, null(average+f.name, "", 0, reasonNoRows))
			}
			continue
		}
		var plain, weighted score
		for _, k := range classes {
			s := f.of(k)
			plain = plain.plus(s, 1/float64(len(classes)))
			weighted = weighted.plus(s, float64(k.support)/float64(n))
		}
		if f.name == "recall" {
			weighted.interval = wilson(right, n) // it is the accuracy
		}
		out = append(out,
			metric("macro_"+f.name, "", n, plain.value, plain.interval, unit()),
			rate("micro_"+f.name, "", right, n, reasonNoRows),
			metric("weighted_"+f.name, "", n, weighted.value, weighted.interval, unit()))
	}
	return out
}

// plus adds w times o, ends to ends.
func (s score) plus(o score, w float64) score {
	s.value += w * o.value
	s.interval.Lower += w * o.interval.Lower
	s.interval.Upper += w * o.interval.Upper
	return s
}

// macro is the mean of a metric over the classes that have it, with the mean of ends and bounds.
func macro(name string, n uint64, of []result.Metric, none string) result.Metric {
	e, interval, k := stat.Enclosed{}, stat.Interval{}, 0.0
	for _, m := range of {
		if m.Value == nil {
			continue
		}
		k++
		least, most := *m.Value, *m.Value
		if m.Least != nil {
			least, most = *m.Least, *m.Most
		}
		e.Value, e.Least, e.Most = e.Value+*m.Value, e.Least+least, e.Most+most
		interval.Lower, interval.Upper = interval.Lower+*m.Lower, interval.Upper+*m.Upper
	}
	if k == 0 {
		return null(name, "", n, none)
	}
	sum := metric(name, "", n, e.Value/k, stat.Interval{Lower: interval.Lower / k, Upper: interval.Upper / k}, unit())
	if e.Least < e.Most {
		least, most := e.Least/k, e.Most/k
		sum.Least, sum.Most = &least, &most
	}
	return sum
}
